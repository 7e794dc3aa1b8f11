import pytest

from uav_perception.datasets.action_formats import read_videos
from uav_perception.datasets.class_folders import recording_of, split_by_recording
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.uav_human import parse_name
from uav_perception.datasets.video_list import LabelledVideo, VideoList


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")


def names(videos):
    return [video.name for video in videos.videos]


@pytest.fixture
def hmdb(tmp_path):
    splits = tmp_path / "testTrainMulti_7030_splits"
    splits.mkdir()
    for name in ("brush_hair", "cartwheel"):
        lines = [f"{name}_{number}.avi {number} " for number in range(3)]  # the published lines end with a blank
        (splits / f"{name}_test_split1.txt").write_text("\n".join(lines) + "\n")
        for number in range(3):
            touch(tmp_path / name / f"{name}_{number}.avi")
    return tmp_path


def test_hmdb51_parts_and_classes(hmdb):
    train, test = read_videos("hmdb51", hmdb, "train"), read_videos("hmdb51", hmdb, "test")
    assert train.class_names == test.class_names == ("brush_hair", "cartwheel")
    assert names(train) == ["brush_hair/brush_hair_1.avi", "cartwheel/cartwheel_1.avi"]
    assert names(test) == ["brush_hair/brush_hair_2.avi", "cartwheel/cartwheel_2.avi"]
    assert [video.label for video in train.videos] == [0, 1]
    assert all(video.path.is_file() for video in train.videos)


def test_hmdb51_names_with_blanks_and_signs(hmdb):
    name = "#20_Rhythm clap_u_nm_np1_fr_goo_0.avi"
    with (hmdb / "testTrainMulti_7030_splits" / "cartwheel_test_split1.txt").open("a") as lines:
        lines.write(f"{name} 1\n")
    assert f"cartwheel/{name}" in names(read_videos("hmdb51", hmdb, "train"))


def test_a_missing_split_says_where_to_get_it(hmdb):
    with pytest.raises(DatasetError, match=r"no file \*_test_split3.txt.*serre-lab"):
        read_videos("hmdb51", hmdb, "train", split=3)
    with pytest.raises(DatasetError, match=r"does not exist.*hmdb51_org\.rar"):
        read_videos("hmdb51", hmdb / "nowhere", "train")


def test_a_malformed_split_line_is_named(hmdb):
    path = hmdb / "testTrainMulti_7030_splits" / "cartwheel_test_split1.txt"
    path.write_text("a.avi 1\nb.avi train\n")
    with pytest.raises(DatasetError, match=r"cartwheel_test_split1.txt:2"):
        read_videos("hmdb51", hmdb, "train")


@pytest.fixture
def ucf(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n")
    (lists / "trainlist01.txt").write_text(
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nHandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n"
    )
    (lists / "testlist01.txt").write_text(
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi\r\n"
    )
    return tmp_path


@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("inner", ["", "UCF-101"])
def test_ucf101_labels_and_its_odd_class(ucf, folder, inner):
    for part, group in (("train", "g08"), ("test", "g01")):
        touch(ucf / inner / "ApplyEyeMakeup" / f"v_ApplyEyeMakeup_{group}_c01.avi")
        touch(ucf / inner / folder / f"v_HandStandPushups_{group}_c01.avi")
        videos = read_videos("ucf101", ucf, part)
        assert [video.label for video in videos.videos] == [0, 1]
        assert all(video.path.is_file() for video in videos.videos)


def test_ucf101_label_against_folder(ucf):
    path = ucf / "ucfTrainTestlist" / "trainlist01.txt"
    path.write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2\n")
    with pytest.raises(DatasetError, match=r"trainlist01\.txt:1: label 2 contradicts ApplyEyeMakeup"):
        read_videos("ucf101", ucf, "train")


@pytest.mark.parametrize("label", ["two", "0x1", "1.0"])
def test_ucf101_label_that_is_no_number(ucf, label):
    path = ucf / "ucfTrainTestlist" / "trainlist01.txt"
    path.write_text(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi {label}\n")
    with pytest.raises(DatasetError, match=rf"trainlist01\.txt:1: label {label} contradicts"):
        read_videos("ucf101", ucf, "train")


def test_ucf101_missing_list(ucf):
    with pytest.raises(DatasetError, match=r"testlist02\.txt does not exist.*crcv\.ucf\.edu"):
        read_videos("ucf101", ucf, "test", split=2)


def test_uav_human_by_subject(tmp_path):
    stems = [
        "P070S01G10B00H10UC102000LC092000A031R0_09131758",
        "P003S01G10B00H10UC102000LC092000A000R1_09131759",
    ]
    for stem in stems:
        touch(tmp_path / "videos" / f"{stem}.avi")
    (tmp_path / "csv1_train_subjects.txt").write_text("3, 12\n15")
    train, test = read_videos("uav_human", tmp_path, "train"), read_videos("uav_human", tmp_path, "test")
    assert [video.label for video in train.videos] == [0]
    assert [video.label for video in test.videos] == [31]
    assert len(train.class_names) == 155
    assert parse_name(stems[0]) == (70, 31)


def test_uav_human_errors(tmp_path):
    with pytest.raises(DatasetError, match="list of training subjects"):
        read_videos("uav_human", tmp_path, "train")
    with pytest.raises(DatasetError, match="not a UAV-Human name"):
        parse_name("clip7")
    with pytest.raises(DatasetError, match="action 155"):
        parse_name("P070S01G10B00H10UC102000LC092000A155R0_09131758")


def test_folders_divided_by_hand(tmp_path):
    for part in ("train", "test"):
        for name in ("run", "walk"):
            touch(tmp_path / part / name / f"{part}.mp4")
            touch(tmp_path / part / name / "notes.txt")
    assert names(read_videos("folders", tmp_path, "test")) == ["run/test.mp4", "walk/test.mp4"]
    touch(tmp_path / "test" / "jump" / "a.mp4")
    with pytest.raises(DatasetError, match="only one of train and test has videos of jump"):
        read_videos("folders", tmp_path, "train")


def test_a_class_whose_videos_are_on_one_side_only_is_refused(tmp_path):
    """An empty folder is no class: it would shift the labels of one part."""
    for part in ("train", "test"):
        for name in ("jump", "run", "walk"):
            touch(tmp_path / part / name / "a.mp4")
    (tmp_path / "train" / "jump" / "a.mp4").unlink()
    for part in ("train", "test"):
        with pytest.raises(DatasetError, match="only one of train and test has videos of jump"):
            read_videos("folders", tmp_path, part)


def test_a_share_is_set_aside_by_recording(tmp_path):
    for name in ("run", "walk"):
        for recording in range(10):
            for clip in range(3):
                touch(tmp_path / name / f"rec{chr(97 + recording)}_c{clip:02d}.mp4")
    train, test = (read_videos("folders", tmp_path, part, test_share=0.3) for part in ("train", "test"))
    assert (len(train.videos), len(test.videos)) == (42, 18)
    sides = [{(video.label, recording_of(video.path)) for video in part.videos} for part in (train, test)]
    assert not sides[0] & sides[1]
    assert names(read_videos("folders", tmp_path, "test")) == names(test)
    assert names(read_videos("folders", tmp_path, "test", seed=1)) != names(test)


def test_plain_numbering_is_not_one_recording(tmp_path):
    paths = [tmp_path / "boxing" / f"boxing_{number:02d}.mp4" for number in range(10)]
    assert len({recording_of(path) for path in paths}) == 10
    assert len(split_by_recording(paths, 0.3, 0)) == 3
    from_camera = [tmp_path / "boxing" / f"DJI_{number:04d}.mp4" for number in range(10)]
    assert len(split_by_recording(from_camera, 0.3, 0)) == 3


def test_one_recording_is_always_left_for_training(tmp_path):
    alone = [tmp_path / "boxing" / "field.mp4"]
    assert split_by_recording(alone, 0.3, 0) == set()
    two = [tmp_path / "boxing" / name for name in ("field_c1.mp4", "field_c2.mp4", "street_c1.mp4")]
    assert {path.name[:5] for path in split_by_recording(two, 1.0, 0)} in ({"field"}, {"stree"})


@pytest.mark.parametrize("format", ["drone_action", "mod20"])
def test_uav_sets_take_lists_where_there_are_some(tmp_path, format):
    for name in ("clapping", "punching"):
        for number in range(4):
            touch(tmp_path / name / f"{name}_{number}.avi")
    assert len(read_videos(format, tmp_path, "test").videos) == 4  # 0.3 of 4, whole recordings: 2 a class
    (tmp_path / "splits").mkdir()
    for name in ("clapping", "punching"):
        (tmp_path / "splits" / f"{name}_test_split1.txt").write_text(f"{name}_0.avi 2\n{name}_1.avi 1\n")
    assert names(read_videos(format, tmp_path, "test")) == ["clapping/clapping_0.avi", "punching/punching_0.avi"]


def test_csv_with_parts_of_files(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("path,label,part,start,end\na.mp4, run,train,0,2.5\na.mp4,walk,train,2.5,\nb.mp4,walk,test,,\n")
    train = read_videos("csv", path, "train")
    assert train.class_names == ("run", "walk")
    assert [(video.label, video.start, video.end) for video in train.videos] == [(0, 0.0, 2.5), (1, 2.5, None)]
    assert train.videos[0].path == tmp_path / "a.mp4"
    assert len(read_videos("csv", path, "test").videos) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,b\n", "lacks path"),
        ("path,label,part\na,b,val\n", "own.csv:2: part is 'val'"),
        ("path,label,start\na,b,soon\n", "own.csv:2: start is 'soon'"),
        ("path,label,end\na,b,nan\n", "own.csv:2: end is 'nan', not seconds"),
        ("path,label\na,b\nc\n", "own.csv:3: label is empty"),
        ("path,label\n,b\n", "own.csv:2: path is empty"),
        ("path,label,start,end\na,b,3,2\n", "from 3.0 s to 2.0 s is empty"),
        ("path,label\n", "holds no video"),
    ],
)
def test_csv_errors(tmp_path, text, message):
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_videos("csv", path, "train")


def test_background_becomes_the_last_class(hmdb, tmp_path):
    for part in ("train", "test"):
        touch(tmp_path / "idle" / part / "empty_field.mp4")
    videos = read_videos("hmdb51", hmdb, "train", background=tmp_path / "idle")
    assert videos.class_names[-1] == "background"
    assert (videos.videos[-1].label, videos.videos[-1].name) == (2, "background/empty_field.mp4")


def test_fingerprints_notice_labels_sizes_and_parts(hmdb):
    first = read_videos("hmdb51", hmdb, "train")
    before = first.fingerprint()
    assert before == read_videos("hmdb51", hmdb, "train").fingerprint()
    (hmdb / "cartwheel" / "cartwheel_1.avi").write_bytes(b"another video")
    assert read_videos("hmdb51", hmdb, "train").fingerprint() != before
    cut = VideoList(first.title, first.class_names, (LabelledVideo(**{**first.videos[0].__dict__, "end": 1.0}),))
    whole = VideoList(first.title, first.class_names, first.videos[:1])
    assert cut.fingerprint() != whole.fingerprint()


def test_unknown_format_and_option():
    with pytest.raises(DatasetError, match="choose one of hmdb51, ucf101"):
        read_videos("kinetics", ".", "train")
    with pytest.raises(DatasetError, match="seed"):
        read_videos("hmdb51", ".", "train", seed=3)
