"""Reading compiled kernels: the parsers on short listings, and toys compiled for absent GPUs, each of which must show what it was made to show."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from impl._triton import gcn, sass, ttgir
from impl._triton.compiled import Compiled, Part, measured, read, usage
from impl._triton.complaints import complaints
from impl._triton.control_flow import Instruction, cycles
from impl._triton.occupancy import LIMITS, Occupancy, occupancy
from impl._triton.ttgir import Need

ROOT = Path(__file__).parents[1]
SASS = """
	.section	.text.before,"ax",@progbits
        /*0000*/                   EXIT ;
	.section	.text.toy,"ax",@progbits
toy:
.text.toy:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 BRA `(.L_x_3) ;
.L_x_0:
        /*0020*/                   LDGSTS.E.BYPASS.LTC128B.128 [R9], desc[UR14][R56.64], !P0 ;
        /*0030*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P4, [UR16], R12 ;
        /*0040*/              @!P4 BRA `(.L_x_5) ;
.L_x_2:
        /*0050*/                   HGMMA.64x64x16.F32 R24, gdesc[UR8].tnspB, R24 ;
.L_x_1:
        /*0060*/                   LDG.E.U16 R2, desc[UR4][R2.64] ;
        /*0070*/                   HADD2.F32 R5, -RZ, R2.H0_H0 ;
        /*0080*/                   IMAD.MOV.U32 R3, RZ, RZ, R34 ;
        /*0090*/                   BRA.U UP0, `(.L_x_1) ;
        /*00a0*/               @P1 BRA `(.L_x_4) ;
        /*00b0*/                   STL.64 [R1+0x8], R4 ;
.L_x_4:
        /*00c0*/              @!P0 BRA `(.L_x_0) ;
.L_x_3:
        /*00d0*/                   EXIT ;
.L_x_5:
        /*00e0*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P4, [UR16], R12 ;
        /*00f0*/              @!P4 BRA `(.L_x_5) ;
        /*0100*/                   BRA `(.L_x_2) ;
.L_x_6:
        /*0110*/                   BRA `(.L_x_6);
	.section	.text.after,"ax",@progbits
        /*0000*/                   EXIT ;
"""
AMDGCN = """
toy:                                    ; @toy
; %bb.0:
	.loc	1 6 0                           ; toy.py:6:0
	s_load_dwordx2 s[2:3], s[0:1], 0x0
.LBB0_1:                                ; =>This Inner Loop Header
	global_load_dwordx4 v[2:5], v[2:3], off
	buffer_load_dwordx4 v1, s[0:3], 0 offen lds
	scratch_load_dword v7, off, off offset:4 ; 4-byte Folded Reload
	v_mfma_f32_32x32x8_f16 v[0:15], v[2:3], v[4:5], v[0:15]
	v_exp_f32_e32 v9, v8
	v_add_f32_dpp v9, v9, v9 row_shr:1 row_mask:0xf bank_mask:0xf
	v_add_f32_e32 v9, v9, v8
	v_cvt_f16_f32_e32 v9, v9
	s_add_i32 s4, s4, 64
	s_cbranch_scc1 .LBB0_1
; %bb.2:
	s_endpgm
.Lfunc_end0:
	.amdhsa_private_segment_fixed_size 36
	.amdhsa_next_free_vgpr 218
"""
TTGIR = """
#blocked = #ttg.blocked<{sizePerThread = [1, 8], threadsPerWarp = [4, 8], warpsPerCTA = [4, 1], order = [1, 0]}>
#mma = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 64, 16]}>
#mma1 = #ttg.nvidia_mma<{versionMajor = 2, versionMinor = 0, warpsPerCTA = [2, 2], instrShape = [16, 8]}>
#tmem = #ttng.tensor_memory_encoding<blockM = 128, blockN = 64, colStride = 1>
module attributes {"ttg.num-warps" = 4 : i32} {
  tt.func public @toy() attributes {noinline = false} {
    %0 = tt.load %q : tensor<128x64x!tt.ptr<f16>, #blocked> loc(#loc1)
    %1:2 = scf.for %i = %a to %b step %c iter_args(%x = %y) -> (tensor<128x64xf32, #mma>) : i32 {
      %2 = ttng.warp_group_dot %q, %k, %z {inputPrecision = 0 : i32} : !ttg.memdesc<128x64xf16, #s> * !ttg.memdesc<64x64xf16, #s> -> tensor<128x64xf32, #mma>
      %3 = scf.if %p -> (i32) {
        %4 = ttg.async_copy_global_to_local %k, %l mask %m {contiguity = 8 : i32} : tensor<64x64x!tt.ptr<f16>, #blocked> -> <64x64xf16, #s, #smem, mutable>
      } else {
        %5 = tt.load %v : tensor<64x!tt.ptr<f32>, #ttg.slice<{dim = 1, parent = #blocked}>> loc(#loc1)
      }
      scf.while : () -> () {
        %6 = tt.dot %d, %e, %f, inputPrecision = tf32 : tensor<64x32xf32, #ttg.dot_op<{opIdx = 0}>> * tensor<32x64xf32, #o> -> tensor<64x64xf32, #mma1>
      } do {
        %7 = tt.dot %d, %e, %f : tensor<64x32xf32, #o> * tensor<32x64xf32, #o> -> tensor<64x64xf32, #blocked>
        ttng.tc_gen5_mma %g, %h, %u, %t : !ttg.memdesc<128x64xf16>, !ttg.memdesc<64x128xf16>, !ttg.memdesc<128x128xf32, #tmem, #ttng.tensor_memory, mutable>
        %8 = tt.load %n : !tt.ptr<i64> loc(#loc1)
      }
    }
  }
}
"""


def code(*jumps: int | None) -> tuple[Instruction, ...]:
    """Instructions, each None, or a conditional jump to an index (−i: an unconditional one to i)."""
    return tuple(Instruction(name="x") if to is None else Instruction(name="x", targets=(abs(to),), falls=to > 0) for to in jumps)


def test_loops_are_found_with_their_nesting() -> None:
    inner, outer = (2, 3), (1, 2, 3, 4)
    found = cycles(code(None, None, None, 2, 1, None))
    assert [(x.header, sorted(x.body), x.parent) for x in found] == [(1, list(outer), None), (2, list(inner), 0)]
    assert sorted(found[0].own) == [1, 4]


def test_a_jump_back_into_the_middle_is_no_loop_of_its_own() -> None:
    """Out-of-line code that returns to where the straight way goes as well: 1 jumps to 5, which returns to 2."""
    assert cycles(code(None, 5, None, None, -4, -2)) == ()


def test_two_back_edges_to_one_header_make_one_loop() -> None:
    assert [sorted(x.body) for x in cycles(code(None, None, 1, 1, None))] == [[1, 2, 3]]


def test_code_that_only_a_call_reaches_has_its_loops_too() -> None:
    assert [x.header for x in cycles((Instruction(name="EXIT", falls=False), *code(None, 1, None)))] == [1]


def test_an_endless_jump_to_itself_is_padding_and_no_loop() -> None:
    assert cycles(code(None, -1)) == ()
    assert len(cycles(code(None, 1, None))) == 1


def test_a_sass_listing_is_read() -> None:
    found = sass.instructions(SASS, "toy")
    loops = cycles(found)
    kinds = [Counter(sass.class_of(found[i]) for i in sorted(x.own)) for x in loops]
    assert len(found) == 18
    assert kinds == [
        {"async copy": 1, "barrier": 1, "branch": 4, "tensor core": 1, "local store": 1},  # the way back from the wait counts to it
        {"global load": 1, "conversion": 1, "move": 1, "branch": 1},
        {"barrier": 1, "branch": 1},  # the wait, out of line
    ]
    assert [x.parent for x in loops] == [None, 0, 0]
    assert [sass.width(found[i]) for i in (0, 2, 6)] == [None, 16, 2]
    with pytest.raises(ValueError, match="no machine code"):
        sass.instructions(SASS, "toys")


@pytest.mark.parametrize(
    ("name", "operands", "kind", "width"),
    [
        ("HMMA.16816.F32", "R4, R8, R12, R4", "tensor core", None),
        ("UTCHMMA", "gdesc[UR10], gdesc[UR12], tmem[UR8], tmem[UR34], idesc[UR35], UPT", "tensor core", None),
        ("HFMA2.MMA", "R5, -RZ, RZ, 0, 0", "move", None),
        ("HFMA2.MMA", "R5, R4, R3, R2", "float", None),
        ("MUFU.EX2", "R5, R4", "special function", None),
        ("F2FP.F16.F32.PACK_AB", "R5, R4, R3", "conversion", None),
        ("SHFL.BFLY", "PT, R5, R4, 0x1, 0x1f", "shuffle", None),
        ("UTMALDG.2D", "[UR8], [UR4], desc[UR6]", "async copy", None),
        ("LDG.E.128.CONSTANT", "R4, desc[UR4][R2.64]", "global load", 16),
        ("STG.E.64", "desc[UR4][R2.64], R4", "global store", 8),
        ("LDG.E.U8", "R4, desc[UR4][R2.64]", "global load", 1),
        ("LDG.E", "R4, desc[UR4][R2.64]", "global load", 4),
        ("LDSM.16.M88.4", "R4, [R2]", "shared load", None),
        ("LDL.LU.64", "R4, [R1+0x8]", "local load", None),
        ("NOP", "", "other", None),
    ],
)
def test_a_mnemonic_has_its_class_and_width(name: str, operands: str, kind: str, width: int | None) -> None:
    one = Instruction(name=name, operands=operands)
    assert (sass.class_of(one), sass.width(one)) == (kind, width)


def test_an_amdgcn_listing_is_read() -> None:
    found = gcn.instructions(AMDGCN, "toy")
    (cycle,) = cycles(found)
    kinds = ["global load", "async copy", "local load", "tensor core", "special function", "shuffle", "float", "conversion", "integer", "branch"]
    assert [gcn.class_of(found[i]) for i in sorted(cycle.body)] == kinds
    assert [gcn.width(x) for x in found[1:4]] == [16, 16, None]
    assert [x.name for x in found if not x.falls] == ["s_endpgm"]
    assert gcn.usage(AMDGCN) == (218, 36)
    with pytest.raises(ValueError, match="no machine code"):
        gcn.instructions(AMDGCN, "toys")


def test_needs_are_counted_from_the_layouts() -> None:
    """By hand: 128·64·64 / (4·16 · 64 · 16) = 8 HGMMA; 64·64·32 / (2·16 · 2·8 · 8) = 32 HMMA; 128·128·64 / (128 · 64 · 16) = 8 UTCHMMA.

    Bytes: 64·64·2 / 128 threads = 64 of the tile; of the vector, each thread holds the rows of its place in the blocked layout, 64 / 16 = 4 numbers = 16.
    """
    outside, (first, second) = ttgir.needs(TTGIR)
    assert outside == Need(loaded=128)
    assert first == Need(products=1, tensor_instructions=8, loaded=64 + 16, narrow=16)
    assert second == Need(products=3, scalar_products=1, tensor_instructions=32 + 8, loaded=8, narrow=8)


def loop(tensor: int = 0, loaded: int = 0, parent: int | None = None) -> Part:
    """A loop with some tensor-core instructions and some 4-byte loads."""
    counts = {kind: n for kind, n in (("tensor core", tensor), ("global load", loaded)) if n}
    return Part(parent=parent, instructions=tensor + loaded, counts=counts, moves={}, widths={4: loaded} if loaded else {})


@pytest.mark.parametrize(
    ("loops", "sources", "unrolled"),
    [
        ([loop(8), loop(12)], [Need(products=1, tensor_instructions=4), Need(products=1, tensor_instructions=6)], [2, 2]),  # in order
        ([loop(8), loop(4)], [Need(products=1, tensor_instructions=4)], [2, 1]),  # unrolled, and the rest
        ([loop(8)], [Need(products=1, tensor_instructions=4), Need(products=1, tensor_instructions=8)], [None]),  # which of the two?
        ([loop(6)], [Need(products=1, tensor_instructions=4)], [None]),  # does not come out whole
        ([loop(8)], [Need(products=1, tensor_instructions=None)], [None]),
        ([loop(8), loop(4, parent=0)], [Need(products=1, tensor_instructions=4)], [None, 1]),  # a dispatcher around a loop
        ([loop(0, 6, None), loop(0, 8, parent=0)], [Need(loaded=8)], [None, 4]),
        ([loop(4, 2), loop(0, 8)], [Need(products=1, tensor_instructions=4, loaded=8), Need(loaded=16)], [1, 2]),
    ],
)
def test_the_unroll_factor_is_the_ratio_to_the_need_of_the_source(loops: list[Part], sources: list[Need], unrolled: list[int | None]) -> None:
    assert [x.unroll for x in measured(loops, sources)] == unrolled


def test_batches_of_products_and_operands_are_shared_out_among_threads() -> None:
    """Eight warps take one of eight products each; of AMD's second operand two lanes share what is summed over, as 64 lanes stand along 32 columns."""
    layouts = {
        "batch": "#ttg.nvidia_mma<{versionMajor = 2, versionMinor = 0, warpsPerCTA = [8, 1, 1], instrShape = [1, 16, 8]}>",
        "mfma": "#ttg.amd_mfma<{version = 3, warpsPerCTA = [2, 2], instrShape = [32, 32, 2], isTransposed = true}>",
    }
    line = "  %1 = tt.dot %a, %b, %c, inputPrecision = tf32 : tensor<8x32x32xf32, #x> * tensor<8x32x16xf32, #x> -> tensor<8x32x16xf32, #batch>"
    assert ttgir.need([line], layouts).tensor_instructions == 2 * 2 * 4
    rows = "#ttg.slice<{dim = 1, parent = #ttg.slice<{dim = 0, parent = #batch}>}>"
    assert (ttgir.elements([8, 32, 16], "#batch", layouts), ttgir.elements([16], rows, layouts)) == (2 * 2 * 2 * 2, 2)
    first, second = (f"#ttg.slice<{{dim = 1, parent = #ttg.dot_op<{{opIdx = {i}, parent = #mfma, kWidth = 1}}>}}>" for i in (0, 1))
    assert (ttgir.elements([32], first, layouts), ttgir.elements([32], second, layouts)) == (1, 16)


def test_an_unknown_layout_is_no_number() -> None:
    outside, (first, second) = ttgir.needs(TTGIR.replace("instrShape = [16, 64, 16]", "").replace("#ttg.blocked<", "#ttg.unheard_of<"))
    assert (outside.loaded, first.tensor_instructions, first.loaded, second.tensor_instructions) == (None, None, None, None)


@pytest.mark.parametrize(
    ("warps", "registers", "shared", "want"),
    [
        (4, 37, 0, Occupancy(blocks=12, warps=48, limit="registers")),  # these two: CUDA C++ Best Practices Guide, "Calculating Occupancy"
        (10, 37, 0, Occupancy(blocks=4, warps=40, limit="registers")),
        (4, 32, 0, Occupancy(blocks=16, warps=64, limit="registers")),
        (1, 32, 0, Occupancy(blocks=32, warps=32, limit="blocks")),
        (8, 24, 0, Occupancy(blocks=8, warps=64, limit="warps")),
        (4, 64, 227 * 1024, Occupancy(blocks=1, warps=4, limit="shared memory")),
        (4, 64, 113 * 1024, Occupancy(blocks=2, warps=8, limit="shared memory")),  # 2 · (113 + 1) = 228
        (4, 64, 113 * 1024 + 1, Occupancy(blocks=1, warps=4, limit="shared memory")),
        (4, 64, 228 * 1024, Occupancy(blocks=0, warps=0, limit="shared memory")),
    ],
)
def test_occupancy_is_what_the_limits_allow(warps: int, registers: int, shared: int, want: Occupancy) -> None:
    assert occupancy("sm_90", warps=warps, registers=registers, shared=shared) == want


def test_tensor_memory_limits_blocks() -> None:
    assert occupancy("sm_100", warps=4, registers=32, shared=0, tensor_columns=256) == Occupancy(blocks=2, warps=8, limit="tensor memory")


def test_resource_usage_is_read_by_name() -> None:
    listing = " Function toys:\n  REG:1 STACK:2 SHARED:0\n Function toy:\n  REG:63 STACK:16 SHARED:1024 LOCAL:0\n"
    assert usage(listing, "toy") == (63, 16)
    with pytest.raises(ValueError, match="no resource usage"):
        usage(listing, "to")


def sound() -> Compiled:
    """A kernel that has nothing wrong with it."""
    need = Need(products=1, tensor_instructions=4, loaded=72, narrow=8)
    one = Part(
        instructions=10, counts={"tensor core": 8, "async copy": 9}, moves={"LDGSTS.E.BYPASS.128": 8, "LDG.E": 4}, widths={16: 8, 4: 4}, need=need, unroll=2
    )
    return Compiled(
        name="toy",
        target="sm_90",
        warps=4,
        registers=64,
        shared=1024,
        stack=0,
        spills=0,
        occupancy=occupancy("sm_90", warps=4, registers=64, shared=1024),
        loops=(one,),
        outside=Part(instructions=1, counts={"branch": 1}, moves={}, widths={}, need=Need()),
        products=1,
        scalar_products=0,
    )


def test_a_sound_kernel_gets_no_complaint() -> None:
    assert complaints(sound()) == []
    assert sound().loops[0].a_tile == 5
    assert not sound().loops[0].waits


def test_each_complaint_is_made() -> None:
    fine = sound()
    (one,) = fine.loops
    for broken, words in (
        (replace(fine, loops=(replace(one, counts=one.counts | {"local store": 3}),)), "loop 0 loads 0 and stores 3 times"),
        (replace(fine, scalar_products=1), "1 of 1 matrix products"),
        (replace(fine, loops=(replace(one, counts={"float": 512}),)), "no tensor-core instruction"),
        (replace(fine, shared=LIMITS["sm_90"].block_shared + 1), "bytes of shared memory"),
        (replace(fine, occupancy=Occupancy(blocks=0, warps=0, limit="registers")), "not one block fits"),
        (replace(fine, loops=(replace(one, widths={16: 8, 4: 5}),)), "fetches 20 bytes a thread in pieces of less than 16, where 16 are excused"),
        (replace(fine, loops=(replace(one, need=None),)), "where 0 are excused: 8 × LDGSTS.E.BYPASS.128, 4 × LDG.E"),
        (replace(fine, outside=replace(fine.outside, widths={2: 9})), "the code outside loops fetches 18 bytes"),
    ):
        (said,) = complaints(broken)
        assert words in said


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh process reads off the toys; fresh, because triton must not have been told to interpret, nor be imported here."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("needs triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run([sys.executable, "-m", "tests.toy_kernels"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def working(toy: dict[str, Any]) -> list[dict[str, Any]]:
    """The loops that do more than wait."""
    return [x for x in toy["read"]["loops"] if set(x["counts"]) - {"barrier", "branch", "move", "other", "tensor memory"}]


@pytest.mark.parametrize(("target", "copied"), [("sm_80", "LDGSTS"), ("sm_90", "LDGSTS"), ("sm_100", "LDGSTS"), ("gfx942", "_load_dwordx4")])
def test_a_product_uses_tensor_cores_and_wide_loads(toys: dict[str, Any], target: str, copied: str) -> None:
    toy = toys[f"product {target}"]
    (only,) = working(toy)
    assert toy["complaints"] == []
    assert (toy["read"]["target"], toy["read"]["spills"], only["unroll"]) == (target, 0, 1)
    assert only["counts"]["tensor core"] == only["need"]["tensor_instructions"] > 0
    assert list(only["widths"]) == ["16"]
    assert all(copied in name for name in only["moves"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("not aligned", "fetches 128 bytes a thread in pieces of less than 16"),
        ("no tensor cores", "1 of 1 matrix products are left to fused multiply-adds"),
        ("few registers", "times from and to local memory"),
        ("much shared memory", "327680 bytes of shared memory a block; sm_90 has 232448"),
    ],
)
def test_what_is_wrong_with_a_toy_is_said_and_nothing_else(toys: dict[str, Any], name: str, words: str) -> None:
    (said,) = toys[name]["complaints"]
    assert words in said


def test_unrolled_passes_are_divided_out(toys: dict[str, Any]) -> None:
    """ptxas unrolls four times and leaves a loop for the rest. What each pass must do stands in both alike; the sums of 8 numbers a thread, four times."""
    main, rest = working(toys["powers"])
    assert (main["unroll"], rest["unroll"]) == (4, 1)
    assert [main["counts"][kind] / 4 for kind in ("shared load", "conversion", "barrier")] == [
        rest["counts"][kind] for kind in ("shared load", "conversion", "barrier")
    ]
    outer, inner = working(toys["row sums"])
    assert (outer["parent"], inner["parent"], inner["unroll"]) == (None, 0, 4)
    assert inner["counts"]["float"] == 4 * 1024 / 128
    assert "tensor core" not in inner["counts"]


def test_registers_limit_occupancy_as_llvm_says(toys: dict[str, Any]) -> None:
    """LLVM knows the registers and not the dynamic shared memory."""
    for name in ("product gfx942", "row sums gfx942"):
        toy = toys[name]
        alone = occupancy("gfx942", warps=4, registers=toy["read"]["registers"], shared=0)
        assert alone.warps == 4 * toy["waves"]


def test_a_kernel_for_an_unknown_target_is_refused() -> None:
    metadata = SimpleNamespace(name="toy", num_warps=4, shared=0, target=SimpleNamespace(backend="hip", arch="gfx1"))
    with pytest.raises(KeyError, match="gfx1"):
        read(SimpleNamespace(asm={"amdgcn": AMDGCN, "ttgir": TTGIR}, metadata=metadata))
