"""NVIDIA machine code as `nvdisasm -c` prints it: its instructions, their classes, and how many bytes they move."""

from __future__ import annotations

import re

from impl._triton.control_flow import Instruction

SECTION = "\t.section\t.text."
LABEL = re.compile(r"^([.$\w]+):$")
LINE = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?P<guard>@!?U?P\w+)?\s*(?P<name>[A-Z][\w.]*)\s*(?P<operands>.*?)\s*;$")
JUMP = re.compile(r"^(?P<condition>.*?)`\((?P<target>[^)]+)\)$")
INDIRECT = re.compile(r'BRANCH_TARGETS ([^"]+)"')
ENDS = frozenset({"EXIT", "RET", "BRX", "BRXU", "JMX", "JMXU", "KILL"})

# Mnemonics without their modifiers, named as in the instruction set tables of https://docs.nvidia.com/cuda/cuda-binary-utilities/ (Ampere, Hopper, Blackwell).
CLASSES = {
    "special function": "MUFU",
    "conversion": "F2F F2I I2F I2I F2FP F2IP I2FP I2IP FRND UF2F UF2I UI2F UI2FP UF2FP UF2IP UFRND",
    "float": "FADD FADD2 FADD32I FMUL FMUL2 FMUL32I FFMA FFMA2 FFMA32I FMNMX FMNMX3 FSEL FSET FSETP FCHK FSWZADD UFADD UFMUL UFFMA UFMNMX UFSEL UFSET UFSETP "
    "HADD2 HADD2_32I HMUL2 HMUL2_32I HFMA2 HFMA2_32I HMNMX2 VHMNMX HSET2 HSETP2 DADD DMUL DFMA DMNMX DSETP",
    "integer": "IADD IADD3 IADD32I IMAD IMUL IABS IMNMX IDP IDP4A ISCADD ISETP LEA LOP LOP3 LOP32I PLOP3 SHF SHL SHR SGXT BMSK BREV FLO POPC "
    "VIADD VIADDMNMX VIMNMX VIMNMX3 VABSDIFF VABSDIFF4 UIADD3 UIMAD UIABS UIMNMX UISETP ULEA ULOP ULOP3 ULOP32I UPLOP3 USHF USHL USHR USGXT "
    "UBMSK UBREV UFLO UPOPC UVIADD UVIMNMX",
    "shuffle": "SHFL MOVM VOTE VOTEU MATCH REDUX CREDUX ELECT",
    "shared load": "LDS LDSM",
    "shared store": "STS STSM ATOMS",
    "global load": "LDG LD",
    "global store": "STG ST ATOM ATOMG RED REDG",
    "async copy": "LDGSTS UTMALDG UTMASTG UTMAREDG UTMAPF UBLKCP UBLKPF UBLKRED",
    "tensor memory": "LDTM STTM LDT STT UTCCP UTCSHIFT UTCATOMSWS",
    "local load": "LDL",
    "local store": "STL",
    "barrier": "BAR MEMBAR DEPBAR LDGDEPBAR WARPGROUP WARPSYNC FENCE SYNCS ERRBAR CCTL CCTLL UTMACCTL UTMACMDFLUSH UCGABAR_ARV UCGABAR_WAIT ARRIVES "
    "UTCBAR NANOSLEEP ACQBULK",
    "branch": "BRA BRX BRXU JMP JMX JMXU CALL RET EXIT BSSY BSYNC BREAK BMOV BPT KILL YIELD",
    "move": "MOV MOV32I UMOV SEL USEL PRMT UPRMT CS2R CS2UR S2R S2UR R2UR P2R R2P UP2UR UR2UP LDC ULDC LDCU",
}
CLASS_OF = {name: kind for kind, names in CLASSES.items() for name in names.split()}


def instructions(listing: str, kernel: str) -> tuple[Instruction, ...]:
    """The instructions of the kernel's section. Raises ValueError if the listing has no such section, or a branch to no label."""
    _, found, rest = listing.partition(f"{SECTION}{kernel},")
    if not found:
        raise ValueError(f"no machine code of {kernel!r} in the listing")
    lines: list[re.Match[str]] = []
    labels: dict[str, int] = {}
    for text in rest.partition(SECTION)[0].splitlines():
        if label := LABEL.match(text):
            labels[label[1]] = len(lines)
        elif line := LINE.match(text):
            lines.append(line)
    return tuple(instruction(line, labels) for line in lines)


def instruction(line: re.Match[str], labels: dict[str, int]) -> Instruction:
    """One line. A branch is conditional if it has a guard or a predicate among its operands, as in BRA.U UP0, `(.L_x_1)."""
    guard, name, operands = line["guard"] or "", line["name"], line["operands"]
    stem = name.split(".")[0]
    names: list[str] = []
    always = stem in ENDS
    if stem in ("BRA", "JMP"):
        jump = JUMP.match(operands)
        if jump is None:
            raise ValueError(f"a branch without a label: {line[0].strip()}")
        names, always = [jump["target"]], not jump["condition"]
    elif indirect := INDIRECT.search(operands):
        names = indirect[1].split(",")
    targets = tuple(labels[label] for label in names)
    return Instruction(name=name, operands=operands, guard=guard, targets=targets, falls=bool(guard) or not always)


def class_of(code: Instruction) -> str:
    """The class that an instruction is counted under; "other" for NOP and for what the tables do not know."""
    stem, *modifiers = code.name.split(".")
    if stem.endswith("MMA"):  # HMMA, IMMA, DMMA, QMMA, HGMMA, QGMMA, UTCHMMA, UTCQMMA, …
        return "tensor core"
    if stem in ("IMAD", "HFMA2") and "RZ, RZ" in code.operands:  # 0 · 0 + x: a move on a less busy pipe
        return "move"
    if stem == "HADD2" and "F32" in modifiers:  # −0 + x, widened: float16 → float32
        return "conversion"
    return CLASS_OF.get(stem, "other")


def width(code: Instruction) -> int | None:
    """Bytes a thread that a global load, store or asynchronous copy moves; None for other instructions and for copies of whole tiles (TMA)."""
    if class_of(code) not in ("global load", "global store", "async copy") or code.name.startswith("U"):
        return None
    for part in code.name.split(".")[1:]:
        if part in ("8", "16", "64", "128", "256"):
            return int(part) // 8
        if part in ("U8", "S8", "U16", "S16", "F16"):
            return int(part[1:]) // 8
    return 4
