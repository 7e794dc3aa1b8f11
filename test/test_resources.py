"""Shipped files are found, and a wrong name says what there is."""

import pytest

from uav_perception.resources import resource, share_directory


def test_the_messages_are_found():
    assert resource("msg", "DetectionArray.msg").read_text().startswith("#")


def test_a_wrong_name_lists_what_the_folder_holds():
    with pytest.raises(FileNotFoundError, match=r"Nothing\.msg does not exist; .*ActionArray\.msg"):
        resource("msg", "Nothing.msg")


def test_the_share_directory_is_the_source_tree_when_run_from_it():
    assert (share_directory() / "package.xml").is_file()
