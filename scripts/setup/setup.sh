#!/usr/bin/env bash
# Prepares .venv: Python packages, ROS 2 (the sourced one, or wheels), messages built, the package installed.
# Every step leaves a stamp with the hash of what it read, so a second run only checks stamps.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$PWD/.venv
python=${PYTHON:-python3}
stamps=$venv/.stamps

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }
hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
done_before() { [ "$(cat "$stamps/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$stamps" && printf '%s' "$2" >"$stamps/$1"; }

"$python" - <<'PY' || die "Python 3.10 to 3.14 is needed; set PYTHON=/path/to/python3."
import sys
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))
PY
if [ -z "${ROS_DISTRO:-}" ] && [ -f install/setup.bash ]; then set +u; . install/setup.bash; set -u; fi # as run.sh does
ros=wheels
if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then ros=$ROS_DISTRO; fi
if [ "$ros" != wheels ] && ! "$python" -c 'import rclpy' 2>/dev/null; then
  die "ROS 2 $ros is sourced, but $(command -v "$python") ($("$python" --version)) cannot import its rclpy. Set PYTHON=/usr/bin/python3, or use a terminal without ROS 2."
fi
made_for=$(cat "$stamps/ros" 2>/dev/null || echo "$ros")
if [ "$made_for" != "$ros" ]; then
  die ".venv was made with ROS 2 '$made_for', and now it would be '$ros'. Source what it was made for, or run \`make clean\` first."
fi

# 1. System packages, only where unavoidable: a compiler for the message code, Python's venv, and OpenGL for the simulator.
missing=()
command -v g++ >/dev/null || missing+=(g++)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
"$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' || missing+=(python3-dev)
# The list is read to its end: `grep -q` would end ldconfig by a broken pipe. Debian's users have no /sbin in their PATH.
PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep 'libOSMesa\.so' >/dev/null || missing+=(libosmesa6)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    die "please install with your package manager (Debian names): ${missing[*]}"
  fi
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "please install as root: apt-get install ${missing[*]}"
    sudo=sudo
  fi
  say "installing system packages: ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# 2. The virtual environment. With a sourced ROS 2 it sees that installation's packages.
if [ ! -x "$venv/bin/python" ]; then
  say "creating .venv with $("$python" --version)"
  if [ "$ros" = wheels ]; then "$python" -m venv "$venv"; else "$python" -m venv --system-site-packages "$venv"; fi
  mark_done ros "$ros"
fi
install() {
  "$venv/bin/python" -m pip --disable-pip-version-check install "$@" >"$venv/pip.log" 2>&1 \
    || { tail -n 20 "$venv/pip.log" >&2; die "pip failed; the whole log is .venv/pip.log"; }
}

# 3. Python packages.
key=$(hash_of pyproject.toml scripts/setup/*.txt scripts/setup/requirements.py)-$ros
if ! done_before packages "$key"; then
  say "installing Python packages into .venv (about 1.5 GB, once)"
  "$venv/bin/python" scripts/setup/requirements.py train sim dev >"$venv/requirements.txt"
  files=(-r "$venv/requirements.txt")
  # Humble's and Jazzy's message modules are compiled for NumPy 1 and do not load beside NumPy 2.
  if [ "$ros" != wheels ] && "$python" -c 'import numpy, sys; sys.exit(numpy.__version__[:2] != "1.")' 2>/dev/null; then
    files+=("numpy<2")
  fi
  if [ "$ros" = wheels ]; then files+=(-r scripts/setup/ros-wheels.txt); fi
  install -c scripts/setup/constraints.txt "${files[@]}"
  # References that only the tests compare with; without their dependencies, which would bring a second OpenCV.
  install --no-deps -r scripts/setup/test-references.txt
  if [ "$ros" = wheels ]; then "$venv/bin/python" scripts/setup/relocate_wheels.py; fi
  mark_done packages "$key"
fi

# 4. Messages and the package itself.
sources=$(find CMakeLists.txt package.xml msg uav_perception config launch models resource scripts -type f -not -name '*.pyc' | LC_ALL=C sort)
key=$(printf '%s\n' "$sources" | xargs -d '\n' sha256sum | sha256sum | cut -d' ' -f1)
if ! done_before build "$key"; then
  say "building the messages and installing the package"
  # Modules that were deleted since the last build must not live on in the installed copy.
  if [ "$ros" != wheels ]; then
    rm -rf install/uav_perception
    colcon build --packages-select uav_perception --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python" >build.log 2>&1 \
      || { tail -n 40 build.log >&2; die "colcon build failed; the whole log is build.log"; }
    rm -f build.log
    for program in install/uav_perception/bin/*; do ln -sf "$PWD/$program" "$venv/bin/"; done
    # So the commands that need no ROS work with nothing sourced.
    find "$PWD/install/uav_perception" -type d -path '*-packages/uav_perception' -printf '%h\n' -quit \
      >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/uav_perception.pth"
  else
    mkdir -p build
    rm -rf "$venv"/lib/python3.*/site-packages/uav_perception "$venv"/share/uav_perception
    PATH=$venv/bin:$PATH "$venv/bin/cmake" -S . -B build/bare -G Ninja -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_PREFIX_PATH="$venv" -DBUILD_TESTING=OFF \
      -DPython3_EXECUTABLE="$venv/bin/python" -DPython3_FIND_VIRTUALENV=ONLY >build/setup.log 2>&1 \
      && PATH=$venv/bin:$PATH "$venv/bin/cmake" --build build/bare --target install >>build/setup.log 2>&1 \
      || { tail -n 40 build/setup.log >&2; die "building the messages failed; the whole log is build/setup.log"; }
  fi
  mark_done build "$key"
fi
say "ready: .venv/bin/uav-perception"
