from __future__ import annotations

import pytest

from benchmarks.ops import report
from tests.benchmarks.ops.reports import file_of_results


def test_tables_and_plots_of_a_file(tmp_path, capsys):
    assert report.main([str(file_of_results(tmp_path)), "--plots", str(tmp_path / "plots")]) == 0
    out = capsys.readouterr().out
    assert (
        out.startswith("## results.json: Zen with AVX2, 2 threads; torch 2.13.0, trl 1.16, THP_MEM_ALLOC_ENABLE=1; ")
        and "| **lift_kernels** |" in out
    )
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'plots' / '32k-512-loss-trained-bfloat16-by-masked.png'}"


@pytest.mark.parametrize("content", [None, "no JSON", '{"benchmarks": [], "machine_info": {}}'])
def test_what_is_no_result_is_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        report.main([str(path)])
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err
