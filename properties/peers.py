"""Judges other people's published attention, each in a pinned environment of its own: `python -m properties.peers [NAME …]`.

What is tried, what it declares and how its deviations are classified stands in impl/peers/peers.toml; what was found goes to
reports/evidence/peers.json, from which reports/peers.md is drawn.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from properties import digest
from properties.evidence import write_text
from properties.judgement import EXIT

ROOT = Path(__file__).parents[1]
HERE = ROOT / "impl" / "peers"
ENVIRONMENTS = ROOT / ".peers"
EVIDENCE = ROOT / "reports" / "evidence" / "peers.json"
SCHEMA = "attention-ledger/peers/1"
CLASSES = ("bug", "documented convention", "precision", "unspecified")
LIMIT = 900  # seconds for one peer


class BadPeer(ValueError):
    """Raised when peers.toml cannot be used; the message names the peer and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A law that a peer breaks, and why: `kind` is one of CLASSES, `says` the finding in words, `source` where the package says otherwise (or nothing),
    `reproduce` lines that need the package alone and print what they show."""

    laws: tuple[str, ...]
    kind: str
    title: str
    says: str
    reproduce: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One callable of a published package, and what it declares."""

    name: str
    package: str
    version: str
    environment: str
    impl: str
    documents: str
    states: str
    framework: str = "torch"
    limits: str = ""
    convention: str = ""
    arithmetic: str = ""
    call_timeout: float = 10.0
    budget: float = 90.0
    deviations: tuple[Deviation, ...] = field(default=())


def peers() -> list[Peer]:
    """Every peer of peers.toml. Raises BadPeer."""
    found = []
    for table in tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8")).get("peer", ()):
        try:
            deviations = tuple(Deviation(**d | {"laws": tuple(d["laws"])}) for d in table.pop("deviation", ()))
            peer = Peer(**table, deviations=deviations)
        except (TypeError, KeyError) as error:
            raise BadPeer(f"peers.toml: {table.get('name', table)!r}: {error}") from error
        for deviation in deviations:
            if deviation.kind not in CLASSES:
                raise BadPeer(f"peers.toml: {peer.name!r}: kind {deviation.kind!r}; possible are {', '.join(CLASSES)}")
        found.append(peer)
    if twice := {peer.name for peer in found if [p.name for p in found].count(peer.name) > 1}:
        raise BadPeer(f"peers.toml: named twice: {', '.join(sorted(twice))}")
    return found


def interpreter(environment: str) -> Path:
    return ENVIRONMENTS / environment / "bin" / "python"


def installed(environment: str) -> None:
    """Make the environment from its pinned list, unless it stands already and the list has not changed. Raises CalledProcessError."""
    listed = HERE / "environments" / f"{environment}.txt"
    stamp = ENVIRONMENTS / environment / ".complete"
    if stamp.is_file() and stamp.read_text() == listed.read_text():
        return
    print(f"setting up {environment} (once; a minute or two)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENTS / environment)], check=True)
    pip = [str(interpreter(environment)), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", str(listed)]
    subprocess.run(pip, check=True, env=os.environ | {"PIP_CONSTRAINT": str(listed)})
    stamp.write_text(listed.read_text())


def judged(peer: Peer) -> dict[str, Any]:
    """The judgement of one peer, as JSON values; `{"failed": why}` where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        seed = int.from_bytes(hashlib.sha256(peer.name.encode()).digest()[:4], "big")  # fixed, so that the evidence repeats
        command = [
            sys.executable, "-m", "pytest", "properties", "-q", "-p", "no:cacheprovider", "--impl", str(HERE / peer.impl),
            "--variant", "scaled-dot-product", "--framework", peer.framework, "--python", str(interpreter(peer.environment)), "--name", peer.name,
            "--limits", peer.limits, "--convention", peer.convention, "--arithmetic", peer.arithmetic, "--seed", str(seed), "--report", folder,
            "--call-timeout", f"{peer.call_timeout:g}", "--budget", f"{peer.budget:g}",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=ROOT, env=surroundings(folder), capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"no judgement within {LIMIT} s"}
        report = Path(folder) / f"{peer.name}.json"
        if done.returncode not in EXIT.values() or not report.is_file():
            return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1][:500] if (done.stderr or done.stdout).strip() else "nothing was said"}
        judgement = json.loads(report.read_text(encoding="utf-8"))
    laws = [{name: law[name] for name in ("law", "claims", "outcome", "examples", "worst_over_bound", "detail")} for law in judgement["laws"]]
    return {name: judgement[name] for name in ("verdict", "environment", "seed")} | {"laws": laws, "checks": digest.of_laws()}


def about(peer: Peer) -> dict[str, Any]:
    """The peer as peers.toml describes it, and what its reproductions print now."""
    with tempfile.TemporaryDirectory() as folder:
        deviations = [asdict(deviation) | {"shown": reproduced(peer, deviation, folder)} for deviation in peer.deviations]
    return asdict(peer) | {"deviations": deviations}


def reproduced(peer: Peer, deviation: Deviation, folder: str) -> str:
    """What the lines of a reproduction print, in the peer's environment, with nothing of this project on the path."""
    done = subprocess.run(
        [str(interpreter(peer.environment)), "-P", "-W", "ignore", "-c", deviation.reproduce],
        cwd=folder, env=surroundings(folder), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    error = [] if done.returncode == 0 else done.stderr.strip().splitlines()[-1:]
    return "\n".join([*done.stdout.rstrip().splitlines(), *error])


def surroundings(home: str) -> dict[str, str]:
    """The environment of a run: a scratch home for the packages' caches, and one thread."""
    return os.environ | {"HOME": home, "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}


def kept() -> dict[str, Any]:
    """What earlier runs found, by peer."""
    if not EVIDENCE.is_file():
        return {}
    document = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    return dict(document["peers"]) if document.get("schema") == SCHEMA else {}


def main() -> int:
    """Judge the named peers, or all; a run that is interrupted keeps what it had."""
    parser = argparse.ArgumentParser(prog="python -m properties.peers", description="Judge published attention packages and write reports/evidence/peers.json.")
    parser.add_argument("only", nargs="*", help="names of peers (default: all of impl/peers/peers.toml)")
    parser.add_argument("--jobs", type=int, default=2, help="peers at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="print the peers and end")
    parser.add_argument("--describe", action="store_true", help="only take descriptions and reproductions anew; judge nobody")
    options = parser.parse_args()
    every = peers()
    if options.list:
        print("\n".join(f"{peer.name:42} {peer.package} {peer.version} ({peer.environment})" for peer in every))
        return 0
    if unknown := set(options.only) - {peer.name for peer in every}:
        parser.error(f"unknown peers {', '.join(sorted(unknown))}; see --list")
    chosen = [peer for peer in every if not options.only or peer.name in options.only]
    for environment in sorted({peer.environment for peer in chosen}):
        installed(environment)
    earlier, names = kept(), {peer.name for peer in every}
    found = {name: row for name, row in earlier.items() if name in names}

    def examined(peer: Peer) -> dict[str, Any]:
        return {"about": about(peer), "found": earlier.get(peer.name, {}).get("found", NOT_YET) if options.describe else judged(peer)}

    with ThreadPoolExecutor(options.jobs) as pool:
        for number, (peer, row) in enumerate(zip(chosen, pool.map(examined, chosen), strict=True), 1):
            found[peer.name] = row
            said = row["found"].get("failed") or row["found"]["verdict"]
            broken = [law["law"] for law in row["found"].get("laws", ()) if law["outcome"] == "refuted"]
            print(f"[{number}/{len(chosen)}] {peer.name}: {said}{': ' + '; '.join(broken) if broken else ''}", flush=True)
            document = {"schema": SCHEMA, "peers": dict(sorted(found.items()))}
            write_text(EVIDENCE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0


NOT_YET = {"failed": "not judged yet"}


if __name__ == "__main__":
    sys.exit(main())
