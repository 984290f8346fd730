"""AMD machine code as LLVM's AMDGPU backend writes it (`asm["amdgcn"]`): its instructions, their classes, and how many bytes they move."""

from __future__ import annotations

import re

from impl._triton.control_flow import Instruction

LABEL = re.compile(r"^([.$\w]+):")
LINE = re.compile(r"^\s+(?P<name>(?:s|v|ds|global|buffer|flat|scratch)_\w+)(?:\s+(?P<operands>[^;]*?))?\s*(?:;.*)?$")
BRANCH = re.compile(r"^s_c?branch")
ENDS = frozenset({"s_branch", "s_endpgm", "s_setpc_b64"})
WIDTHS = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "short": 2, "ushort": 2, "sshort": 2, "ubyte": 1, "sbyte": 1}

# The first pattern that matches the whole mnemonic, or the operands of a lane-crossing modifier, decides. Names as in the CDNA 3 instruction set reference:
# https://www.amd.com/content/dam/amd/en/documents/instinct-tech-docs/instruction-set-architectures/amd-instinct-mi300-cdna3-instruction-set-architecture.pdf
CLASSES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("tensor core", r"v_s?mf(ma|mac)\w*"),
        ("special function", r"v_(exp|log|rcp|rcp_iflag|rsq|sqrt|sin|cos)_\w+"),
        ("conversion", r"v_cvt_\w+|v_(trunc|ceil|floor|rndne|fract)_f\w+"),
        ("shuffle", r"ds_(b?permute|swizzle)\w*|v_(readlane|readfirstlane|writelane|permlane\w*)_\w+|v_\w+_dpp"),
        ("move", r"v_(mov|accvgpr|cndmask|perm|pack|swap)_\w+|s_(mov|cmov|cselect|getreg|setreg|getpc)\w*|s_(buffer_)?load_\w+"),
        ("float", r"v_(pk_)?\w*_(f16|f32|f64|bf16)\w*"),
        ("shared load", r"ds_read\w*"),
        ("shared store", r"ds_(write|add|min|max|and|or|xor|cmpst)\w*"),
        ("async copy", r"(global|buffer)_load_lds_\w+"),
        ("global load", r"(global|buffer|flat)_load_\w+"),
        ("global store", r"(global|buffer|flat)_(store|atomic)_\w+"),
        ("local load", r"scratch_load_\w+"),
        ("local store", r"scratch_store_\w+"),
        ("barrier", r"s_(barrier|waitcnt|sleep|wakeup|sethalt)\w*|buffer_(wbl2|inv|wbinvl1)\w*"),
        ("branch", r"s_(c?branch\w*|endpgm|setpc|swappc|call|trap)\w*"),
        ("other", r"s_(nop|setprio|sendmsg|icache_inv|dcache\w*|ttracedata|code_end)\w*|v_nop\w*"),
        ("integer", r"[sv]_\w+"),
    )
)


def instructions(listing: str, kernel: str) -> tuple[Instruction, ...]:
    """The instructions of the kernel. Raises ValueError if the listing has no such function."""
    _, found, rest = listing.partition(f"\n{kernel}:")
    if not found:
        raise ValueError(f"no machine code of {kernel!r} in the listing")
    lines: list[tuple[str, str]] = []
    labels: dict[str, int] = {}
    for text in rest.partition("\n.Lfunc_end")[0].splitlines():
        if label := LABEL.match(text):
            labels[label[1]] = len(lines)
        elif line := LINE.match(text):
            lines.append((line["name"], line["operands"] or ""))
    return tuple(
        Instruction(name=name, operands=operands, targets=(labels[operands],) if BRANCH.match(name) else (), falls=name not in ENDS) for name, operands in lines
    )


def class_of(code: Instruction) -> str:
    """The class that an instruction is counted under; "other" for what only paces, and for what the table does not know."""
    if code.name.startswith("v_") and re.search(r"\b(row_|quad_perm|wave_|bank_mask)", code.operands):
        return "shuffle"  # data of another lane as an operand
    kind = next((kind for kind, pattern in CLASSES if pattern.fullmatch(code.name)), "other")
    return "async copy" if kind == "global load" and code.operands.split()[-1:] == ["lds"] else kind


def width(code: Instruction) -> int | None:
    """Bytes a lane that a global load, store or copy to shared memory moves; None for other instructions."""
    if class_of(code) not in ("global load", "global store", "async copy"):
        return None
    return next((WIDTHS[part] for part in code.name.split("_") if part in WIDTHS), 4)


def usage(listing: str) -> tuple[int, int]:
    """Vector registers a lane, accumulation registers among them, and bytes of private memory. Raises ValueError if the listing does not say."""
    registers = re.search(r"\.amdhsa_next_free_vgpr (\d+)", listing)
    stack = re.search(r"\.amdhsa_private_segment_fixed_size (\d+)", listing)
    if registers is None or stack is None:
        raise ValueError("the listing does not say how many registers the kernel uses")
    return int(registers[1]), int(stack[1])
