//! How long an instruction is: enough of a decoder to walk through a function.
//!
//! Needed to know that bytes which look like `call *slot(%rip)` are an instruction and not the
//! inside of one. What compilers do not emit in a program's own code (far jumps, XOP, 3DNow!,
//! control registers) and what processors disagree about is taken as unknown: the walk then ends,
//! and what lies behind is not touched.

/// Longest instruction, in bytes.
const MOST: usize = 15;

/// What follows an opcode.
#[derive(Clone, Copy)]
struct Shape {
    modrm: bool,
    immediate: usize,
}

const PLAIN: Option<Shape> = Some(Shape { modrm: false, immediate: 0 });
const MODRM: Option<Shape> = Some(Shape { modrm: true, immediate: 0 });
const MODRM_8: Option<Shape> = Some(Shape { modrm: true, immediate: 1 });

const fn immediate(bytes: usize) -> Option<Shape> {
    Some(Shape { modrm: false, immediate: bytes })
}

const fn modrm_and(bytes: usize) -> Option<Shape> {
    Some(Shape { modrm: true, immediate: bytes })
}

/// Prefixes met in front of an opcode.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    operand: bool,
    address: bool,
    rex: u8,
}

impl Prefixes {
    fn wide(self) -> bool {
        self.rex & 8 != 0
    }

    /// Bytes of an immediate that is as large as the operand, at most four.
    fn immediate_bytes(self) -> usize {
        if self.operand && !self.wide() {
            2
        } else {
            4
        }
    }

    /// A near branch. With an operand prefix processors differ on its size.
    fn branch(self) -> Option<Shape> {
        (!self.operand || self.wide()).then_some(Shape { modrm: false, immediate: 4 })
    }
}

/// Bytes of the instruction that `code` begins with; `None` if it is unknown or cut off.
pub fn length(code: &[u8]) -> Option<usize> {
    let mut prefixes = Prefixes::default();
    let mut at = 0;
    let opcode = loop {
        let byte = *code.get(at)?;
        match byte {
            0x66 => prefixes = Prefixes { operand: true, rex: 0, ..prefixes },
            0x67 => prefixes = Prefixes { address: true, rex: 0, ..prefixes },
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3 => prefixes.rex = 0,
            0x40..=0x4f => prefixes.rex = byte,
            _ => break byte,
        }
        at += 1;
        if at >= MOST {
            return None;
        }
    };
    let (shape, behind) = match opcode {
        0x0f => escaped(code, at + 1, prefixes)?,
        0xc4 | 0xc5 | 0x62 => vector(code, at, prefixes)?,
        _ => {
            let modrm = code.get(at + 1).copied();
            (one_byte(opcode, modrm, prefixes)?, at + 1)
        }
    };
    let mut end = behind;
    if shape.modrm {
        end += addressing(code.get(end..)?)?;
    }
    end += shape.immediate;
    (end <= MOST && end <= code.len()).then_some(end)
}

/// Shape of an instruction with a one-byte opcode.
fn one_byte(opcode: u8, modrm: Option<u8>, prefixes: Prefixes) -> Option<Shape> {
    let large = prefixes.immediate_bytes();
    // The field of ModRM that is part of the opcode.
    let field = modrm.map(|modrm| modrm >> 3 & 7);
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => MODRM,
            4 => immediate(1),
            5 => immediate(large),
            _ => None,
        },
        0x50..=0x5f | 0x6c..=0x6f | 0x90..=0x99 | 0x9b..=0x9f => PLAIN,
        0x63 | 0x84..=0x8e | 0xd0..=0xd3 | 0xd8..=0xdf => MODRM,
        0x68 | 0xa9 => immediate(large),
        0x69 | 0x81 | 0xc7 => modrm_and(large),
        0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe0..=0xe7 | 0xeb => immediate(1),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => MODRM_8,
        // Another field makes an XOP prefix of it.
        0x8f if field == Some(0) => MODRM,
        0xa0..=0xa3 => immediate(if prefixes.address { 4 } else { 8 }),
        0xa4..=0xa7 | 0xaa..=0xaf | 0xc3 | 0xc9 | 0xcb | 0xcc | 0xcf | 0xd7 => PLAIN,
        0xb8..=0xbf => immediate(if prefixes.wide() { 8 } else { large }),
        0xc2 | 0xca => immediate(2),
        0xc8 => immediate(3),
        0xe8 | 0xe9 => prefixes.branch(),
        0xec..=0xef | 0xf1 | 0xf4 | 0xf5 | 0xf8..=0xfd => PLAIN,
        0xf6 if field? < 2 => MODRM_8,
        0xf7 if field? < 2 => modrm_and(large),
        0xf6 | 0xf7 | 0xfe | 0xff => MODRM,
        _ => None,
    }
}

/// Shape of an instruction behind `0f`, and where its opcode ends.
fn escaped(code: &[u8], at: usize, prefixes: Prefixes) -> Option<(Shape, usize)> {
    let shape = match *code.get(at)? {
        0x38 => return Some((MODRM?, at + 2)),
        0x3a => return Some((MODRM_8?, at + 2)),
        0x05..=0x09 | 0x0b | 0x30..=0x35 | 0x37 | 0x77 => PLAIN,
        0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => PLAIN,
        0x80..=0x8f => prefixes.branch(),
        opcode @ (0x70..=0x73 | 0xc2 | 0xc4..=0xc6) => vector_shape(1, opcode),
        0xa4 | 0xac | 0xba => MODRM_8,
        0x00..=0x03 | 0x0d | 0x10..=0x1f | 0x28..=0x2f | 0x40..=0x6f | 0x74..=0x76 => MODRM,
        0x7c..=0x7f | 0x90..=0x9f | 0xa3 | 0xa5 | 0xab | 0xad..=0xb9 | 0xbb..=0xc1 => MODRM,
        0xc3 | 0xc7 | 0xd0..=0xfe => MODRM,
        _ => None,
    };
    Some((shape?, at + 1))
}

/// Shape of an instruction with a VEX or EVEX prefix at `at`, and where its opcode ends.
fn vector(code: &[u8], at: usize, prefixes: Prefixes) -> Option<(Shape, usize)> {
    // Such a prefix takes the place of these.
    if prefixes.operand || prefixes.rex != 0 {
        return None;
    }
    let (map, behind) = match *code.get(at)? {
        0xc5 => (1, at + 2),
        0xc4 => (*code.get(at + 1)? & 0x1f, at + 3),
        // A fixed bit tells EVEX from its later extensions.
        _ if *code.get(at + 2)? & 4 == 0 => return None,
        _ => (*code.get(at + 1)? & 0xf, at + 4),
    };
    let evex = *code.get(at)? == 0x62;
    let opcode = *code.get(behind)?;
    let shape = match map {
        1 if opcode == 0x77 && !evex => PLAIN,
        1..=3 => vector_shape(map, opcode),
        5 | 6 if evex => MODRM,
        _ => None,
    };
    Some((shape?, behind + 1))
}

fn vector_shape(map: u8, opcode: u8) -> Option<Shape> {
    match (map, opcode) {
        (3, _) | (1, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) => MODRM_8,
        _ => MODRM,
    }
}

/// Bytes of ModRM, SIB and displacement.
fn addressing(code: &[u8]) -> Option<usize> {
    let modrm = *code.first()?;
    let (kind, base) = (modrm >> 6, modrm & 7);
    if kind == 3 {
        return Some(1);
    }
    let sib = usize::from(base == 4);
    let no_base = match kind {
        0 if sib == 1 => *code.get(1)? & 7 == 5,
        0 => base == 5,
        _ => false,
    };
    let displacement = match kind {
        1 => 1,
        2 => 4,
        _ if no_base => 4,
        _ => 0,
    };
    Some(1 + sib + displacement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::list;
    use goblin::elf64::program_header::PF_X;
    use iced_x86::{Decoder, DecoderOptions};

    #[test]
    fn each_part_of_an_instruction_is_counted() {
        let cases: [(&[u8], Option<usize>); 18] = [
            (&[0xc3], Some(1)),
            (&[0xf3, 0x0f, 0x1e, 0xfa], Some(4)),
            (&[0xff, 0x25, 1, 2, 3, 4, 0x66, 0x90], Some(6)),
            (&[0xf2, 0xff, 0x25, 1, 2, 3, 4, 0x90], Some(7)),
            (&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], Some(10)),
            (&[0x66, 0xb8, 1, 2], Some(4)),
            (&[0x81, 0x7c, 0x24, 8, 1, 2, 3, 4], Some(8)),
            (&[0xf7, 0xc7, 1, 2, 3, 4], Some(6)),
            (&[0xf7, 0xd7], Some(2)),
            (&[0x8b, 0x04, 0x25, 1, 2, 3, 4], Some(7)),
            (&[0xc5, 0xf8, 0x77], Some(3)),
            (&[0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1], Some(6)),
            (&[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x07], Some(6)),
            (&[0x66, 0x66, 0x48, 0xe8, 1, 2, 3, 4], Some(8)),
            (&[0x66, 0xe8, 1, 2, 3, 4], None),
            (&[0x06], None),
            (&[0xe8, 1, 2, 3], None),
            (&[], None),
        ];
        for (code, expected) in cases {
            assert_eq!(length(code), expected, "{code:x?}");
        }
    }

    /// Walks all code that this test has mapped, beside an independent decoder.
    #[test]
    fn a_decoder_agrees_on_every_library_here() {
        let mut all = Vec::new();
        list(&mut |listed, _| all.extend(listed.describe()));
        let (mut known, mut unknown) = (0u64, 0u64);
        for component in &all {
            for segment in component.segments.iter().filter(|segment| segment.flags & PF_X != 0) {
                let text = component.view::<u8>(segment.low, segment.high - segment.low);
                let text = text.expect("readable code");
                let mut decoder = Decoder::new(64, text.bytes(), DecoderOptions::NONE);
                while decoder.can_decode() {
                    let at = decoder.position();
                    let instruction = decoder.decode();
                    if instruction.is_invalid() {
                        continue;
                    }
                    match length(&text.bytes()[at..]) {
                        Some(bytes) => {
                            assert_eq!(
                                bytes,
                                instruction.len(),
                                "{:x?}",
                                &text.bytes()[at..][..15]
                            );
                            known += 1;
                        }
                        None => unknown += 1,
                    }
                }
            }
        }
        assert!(known > 100_000 && unknown * 1000 < known, "{known} known, {unknown} unknown");
    }
}
