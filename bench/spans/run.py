#!/usr/bin/env python3
"""The span index beside infini-gram on the same corpus: counts and spans must be equal, then times and sizes.

Table on the terminal, bench/results/spans.json and spans.svg. Run by bench/spans/run.sh, in the environment that it makes."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from infini_gram.engine import InfiniGramEngine

SEED = 5
VOCABULARY = 50_257
ROW_START = 65_535
MEAN_ROW = 400
QUERIES = 10_000
ANSWERS = 50
ANSWER_TOKENS = 256
MIN_TOKENS, MAX_COUNT = 4, 10


def corpus(rng: np.random.Generator, tokens: int) -> list[np.ndarray]:
    """Rows of Zipf tokens, a third of each copied from earlier rows, and some whole copies: text repeats itself."""
    weights = 1.0 / np.arange(1, VOCABULARY + 1)
    stream = rng.choice(VOCABULARY, size=tokens, p=weights / weights.sum()).astype(np.uint16)
    rows, at = [], 0
    while at < tokens:
        row = stream[at : at + int(rng.integers(1, 2 * MEAN_ROW))].copy()
        at += len(row)
        if rows and rng.random() < 0.02:
            row = rows[rng.integers(len(rows))].copy()
        elif rows:
            source = rows[rng.integers(len(rows))]
            length = min(len(row) // 3, len(source))
            into, start = rng.integers(len(row) - length + 1), rng.integers(len(source) - length + 1)
            row[into : into + length] = source[start : start + length]
        rows.append(row)
    return rows


def piece(rng: np.random.Generator, rows: list[np.ndarray], length: int) -> list[int]:
    row = rows[rng.integers(len(rows))]
    start = rng.integers(max(len(row) - length, 0) + 1)
    return row[start : start + length].tolist()


def queries(rng: np.random.Generator, rows: list[np.ndarray]) -> list[list[int]]:
    """Half from the text, a quarter of them with a token changed, a quarter of random frequent tokens."""
    made = []
    for number in range(QUERIES):
        length = int(rng.integers(1, 12))
        query = piece(rng, rows, length) if number % 4 else rng.integers(0, 50, length).tolist()
        if number % 4 == 1:
            query[rng.integers(len(query))] = int(rng.integers(VOCABULARY))
        made.append(query)
    return made


def answers(rng: np.random.Generator, rows: list[np.ndarray]) -> list[list[int]]:
    made = []
    for _ in range(ANSWERS):
        answer = []
        while len(answer) < ANSWER_TOKENS:
            answer += piece(rng, rows, int(rng.integers(3, 40)))
            answer += rng.integers(0, VOCABULARY, int(rng.integers(0, 6))).tolist()
        made.append(answer[:ANSWER_TOKENS])
    return made


def write(rows: list[np.ndarray], folder: Path) -> Path:
    """The rows as infini-gram's own token and offset files."""
    folder.mkdir(parents=True)
    mark = np.array([ROW_START], dtype="<u2")
    tokens = folder / "tokenized.0"
    np.concatenate([part for row in rows for part in (mark, row)]).astype("<u2").tofile(tokens)
    lengths = np.array([0] + [2 * (len(row) + 1) for row in rows[:-1]], dtype=np.uint64)
    np.cumsum(lengths).astype("<u8").tofile(folder / "offset.0")
    return tokens


def peer(folder: Path, cpus: int) -> float:
    """Builds infini-gram's suffix array of the files; seconds."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    command = [sys.executable, "-m", "infini_gram.indexing", "--data_dir", folder, "--save_dir", folder]
    command += ["--token_dtype", "u16", "--cpus", cpus, "--mem", 4, "--ulimit", files]
    started = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def timed(call, inputs: list) -> tuple[list, list[float]]:
    results, seconds = [], []
    for given in inputs:
        started = time.perf_counter()
        results.append(call(given))
        seconds.append(time.perf_counter() - started)
    return results, seconds


def ours(example: str, work: Path, job: dict) -> dict:
    job_file = work / "job.json"
    job_file.write_text(json.dumps(job))
    shutil.rmtree(job["index"], ignore_errors=True)
    return json.loads(subprocess.run([example, str(job_file)], check=True, capture_output=True, text=True).stdout)


def milliseconds(seconds: list[float]) -> dict:
    p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99])
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4), "p99": round(float(p99), 4)}


def summary(report: dict) -> dict:
    build = report["build"]
    stored = build["token_file_bytes"] + build["suffix_file_bytes"]
    return {
        "build": build,
        "bytes per token": round(stored / build["tokens"], 4),
        "bytes per row": round(build["row_file_bytes"] / build["rows"], 2),
        "count ms": milliseconds(report["count_seconds"]),
        "spans ms": milliseconds(report["span_seconds"]),
    }


def row(name: str, value: float, unit: str, target: float | None = None, peer: float | None = None) -> dict:
    """One figure. `ratio` is the peer's over ours: above 1 is better than the peer."""
    met = None if target is None else value <= target
    ratio = round(peer / value, 2) if peer is not None and value else None
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, "peer": peer, "ratio": ratio}


def rows_of(report: dict) -> list[dict]:
    peer, lines = report["infini-gram"], []
    for shards in ("one shard", "four shards"):
        got = report[shards]
        lines += [
            row(f"counts that differ, {shards}", got["counts unequal"], "unequal", 0),
            row(f"answers whose spans differ, {shards}", got["answers with other spans"], "unequal", 0),
            row(f"count, median, {shards}", got["count ms"]["p50"], "ms", None, peer["count ms"]["p50"]),
            row(f"count, p95, {shards}", got["count ms"]["p95"], "ms", 1.0, peer["count ms"]["p95"]),
            row(f"spans of {ANSWER_TOKENS} tokens, median, {shards}", got["spans ms"]["p50"], "ms", None,
                peer["spans ms"]["p50"]),
            row(f"spans of {ANSWER_TOKENS} tokens, p95, {shards}", got["spans ms"]["p95"], "ms", 50.0,
                peer["spans ms"]["p95"]),
            row(f"stored, {shards}", got["bytes per token"], "bytes a token", 7.0),
            row(f"metadata, {shards}", got["bytes per row"], "bytes a row"),
            row(f"build, one core, {shards}", round(got["build"]["seconds"], 2), "s", None,
                peer["build seconds by cores"][1]),
        ]
    return lines


def print_table(lines: list[dict]) -> None:
    words = {None: "", True: "met", False: "MISSED"}
    print(f"{'':46}{'ours':>10} {'unit':14}{'target':>8} {'':7}{'infini-gram':>12}{'ratio':>8}")
    for line in lines:
        target = "" if line["target"] is None else f"{line['target']:g}"
        other = "" if line["peer"] is None else f"{line['peer']:g}"
        ratio = "" if line["ratio"] is None else f"{line['ratio']:g}"
        print(f"{line['name']:46}{line['value']:>10g} {line['unit']:14}{target:>8} {words[line['met']]:7}"
              f"{other:>12}{ratio:>8}")


def plot(lines: list[dict]) -> str:
    """Ours and infini-gram's of every figure that both have, as bars on a logarithmic axis."""
    both = [line for line in lines if line["peer"] is not None]
    least = min(min(line["value"], line["peer"]) for line in both)
    most = max(max(line["value"], line["peer"]) for line in both)
    left, width, height = 330, 900, 40 * len(both) + 50

    def bar(at: int, value: float, unit: str, colour: str) -> str:
        length = 10 + (width - left - 120) * float(np.log(value / least) / np.log(most / least))
        return (f'<rect x="{left}" y="{at}" width="{length:.0f}" height="13" fill="{colour}"/>'
                f'<text x="{left + length + 5:.0f}" y="{at + 11}">{value:g} {unit}</text>')

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
             'font-size="12"><rect width="100%" height="100%" fill="white"/>',
             f'<text x="{left}" y="18"><tspan fill="#2563eb">OpenLedger</tspan> and '
             '<tspan fill="#9ca3af">infini-gram</tspan>, logarithmic, shorter is better</text>']
    for at, line in zip(range(30, height, 40), both):
        parts.append(f'<text x="{left - 8}" y="{at + 18}" text-anchor="end">{line["name"]}</text>')
        parts.append(bar(at, line["value"], line["unit"], "#2563eb"))
        parts.append(bar(at + 15, line["peer"], line["unit"], "#9ca3af"))
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    example, work, results, tokens = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    rng = np.random.default_rng(SEED)
    rows = corpus(rng, tokens)
    asked, traced = queries(rng, rows), answers(rng, rows)
    shutil.rmtree(work, ignore_errors=True)
    folder = work / "infini-gram"
    tokens_file = write(rows, folder)

    cpus = {count: None for count in (1, os.cpu_count())}
    for count in cpus:
        (folder / "table.0").unlink(missing_ok=True)
        cpus[count] = round(peer(folder, count), 2)
    engine = InfiniGramEngine(str(folder), eos_token_id=VOCABULARY - 1, vocab_size=VOCABULARY, token_dtype="u16")
    counted, count_seconds = timed(lambda query: engine.count(query)["count"], asked)
    found, span_seconds = timed(lambda answer: engine.attribute(answer, [], MIN_TOKENS, MAX_COUNT, False), traced)
    expected = [sorted([span["l"], span["r"], span["count"]] for span in one["spans"]) for one in found]

    report = {
        "seed": SEED,
        "corpus tokens": sum(map(len, rows)),
        "queries": QUERIES,
        "queries found": sum(count > 0 for count in counted),
        "answers": ANSWERS,
        "load average": os.getloadavg()[0],
        "infini-gram": {
            "build seconds by cores": cpus,
            "count ms": milliseconds(count_seconds),
            "spans ms": milliseconds(span_seconds),
        },
    }
    job = {"corpus": str(tokens_file), "index": str(work / "index"), "vocabulary": VOCABULARY}
    job |= {"queries": asked, "answers": traced, "min_tokens": MIN_TOKENS, "max_count": MAX_COUNT}
    for name, positions in {"one shard": 1 << 30, "four shards": len(rows) // 4 + tokens // 4 + MEAN_ROW}.items():
        got = ours(example, work, job | {"shard_positions": positions})
        unequal = sum(a != b for a, b in zip(got["counts"], counted, strict=True))
        spans = [sorted(one) for one in got["spans"]]
        different = sum(a != b for a, b in zip(spans, expected, strict=True))
        report[name] = summary(got) | {"counts unequal": unequal, "answers with other spans": different}
    report["spans per answer"] = round(float(np.mean([len(one) for one in expected])), 1)

    lines = rows_of(report)
    results.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "load average": report["load average"]}
    written = {"machine": machine, "rows": lines, "details": report}
    (results / "spans.json").write_text(json.dumps(written, indent=1) + "\n")
    (results / "spans.svg").write_text(plot(lines))
    print_table(lines)
    if not all(line["met"] for line in lines if line["unit"] == "unequal"):
        sys.exit("counts or spans differ from infini-gram's")


if __name__ == "__main__":
    main()
