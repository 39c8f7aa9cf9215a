"""What benchmarks are made of, as far as it runs without them: names, files, plots, places of environments."""

import sys
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks.__main__ import chosen, names
from tests.benchmarks.peers.environments import NotInstalledError, environment_folder, python_with
from tests.benchmarks.plots import OURS, THEIRS, Bars, CountingUp, linear_ticks
from tests.benchmarks.results import keep_plot, recorded

BARS = Bars(
    title="Paid <twice>", unit="charges", values={"cleanplate": 0, "a peer": 50, "another": 2000}, ours=["cleanplate"]
)


def test_a_folder_stands_for_all_benchmarks_in_it():
    """`python -m tests.benchmarks peers` runs the comparisons with peers, a name runs one, nothing runs all."""
    known = names()

    assert "peers.kill_nine" in chosen(["peers"], known)
    assert "money" not in chosen(["peers"], known)
    assert chosen(["money"], known) == ["money"]
    assert chosen([], known) == known
    with pytest.raises(ValueError, match="no benchmark is called moneys"):
        chosen(["moneys"], known)


def test_what_a_benchmark_prints_is_left_in_a_file_with_its_conditions_and_plots(tmp_path, capsys):
    """It is printed too, so that whoever waits sees it."""
    with recorded("peers.example", tmp_path, setting="short setting"):
        sys.stdout.write("| a | b |")
        keep_plot("paid", BARS)

    page = (tmp_path / "peers.example.md").read_text()
    assert page.startswith("# peers: example\n")
    assert "short setting" in page
    assert "UTC" in page
    assert "| a | b |" in page
    assert "(peers.example-paid.svg)" in page
    assert (tmp_path / "peers.example-paid.svg").exists()
    assert "| a | b |" in capsys.readouterr().out


def test_a_benchmark_that_fails_leaves_what_it_had_found(tmp_path):
    """Half a table of an hour's work is worth keeping, and says that it is a half."""

    def fail():
        with recorded("example", tmp_path, setting="long setting"):
            sys.stdout.write("| half |")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert "| half |" in (tmp_path / "example.md").read_text()
    assert "was ended by an error" in (tmp_path / "example.md").read_text()


def test_a_plot_outside_of_a_recording_goes_nowhere(tmp_path, monkeypatch):
    """A benchmark's function can be called by itself."""
    monkeypatch.chdir(tmp_path)

    keep_plot("paid", BARS)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("log", [False, True])
def test_bars_are_well_formed_and_ours_has_another_colour(log):
    """Every value is written beside its bar, and a nought keeps its place on a logarithmic scale."""
    bars = Bars(title=BARS.title, unit=BARS.unit, values=BARS.values, ours=BARS.ours, log=log)

    root = ET.fromstring(bars.svg())  # noqa: S314 - our own

    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    fills = [element.get("fill") for element in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert words[0] == "Paid <twice>"
    assert {"0", "50", "2,000"} <= set(words)
    assert fills[1:] == [OURS, THEIRS, THEIRS]


def test_lines_count_up_to_the_end_of_the_slowest():
    """One line of steps a contender, and the limit as a dashed one."""
    plot = CountingUp(title="t", unit="u", moments={"ours": [0, 1, 2], "theirs": [0, 2, 8]}, limit=[(0, 0), (0, 3)])

    root = ET.fromstring(plot.svg())  # noqa: S314 - our own

    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 3
    assert lines[0].get("stroke-dasharray")
    assert lines[1].get("points", "").split()[-1].endswith(f",{lines[2].get('points', '').split()[-1].split(',')[1]}")


@pytest.mark.parametrize(("top", "last"), [(1, 1), (7, 7), (50, 50), (178, 150), (2000, 2000), (0.3, 0.3)])
def test_ticks_are_round_and_few(top, last):
    """From nought to the last one that fits."""
    ticks = linear_ticks(top)

    assert ticks[0] == 0
    assert ticks[-1] == last
    assert 3 <= len(ticks) <= 9


def test_another_version_gets_another_environment(tmp_path, monkeypatch):
    """And the same one the same: it is installed once for each user."""
    monkeypatch.setenv("CLEANPLATE_BENCH_CACHE", str(tmp_path))

    one, again, other = (environment_folder((f"peer=={version}",)) for version in ("1.0", "1.0", "1.1"))

    assert one == again
    assert one.parent == tmp_path
    assert one != other
    assert one.name.startswith("peer-1.0-")


def test_a_peer_that_cannot_be_installed_says_why_in_one_line(tmp_path, monkeypatch):
    """The benchmarks then leave it out; they do not stop."""
    monkeypatch.setenv("CLEANPLATE_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(NotInstalledError) as refused:
        python_with("cleanplate-has-no-such-peer==1.0")

    assert "\n" not in str(refused.value)
    assert str(refused.value)
