//! The size of the running program, with and without its symbols.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Kinds of sections, as ELF numbers them.
const SYMBOLS: u32 = 2;

/// Bytes of one entry in the table of sections of a 64-bit file.
const ENTRY: usize = 64;

/// What the file of a program holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binary {
    /// All of it, in bytes.
    pub(super) bytes: u64,
    /// What `strip` would take away: symbols, their names, and what debuggers
    /// need. Zero also where the file is not understood.
    pub(super) strippable_bytes: u64,
}

/// A section as far as it matters here.
struct Section {
    name: Vec<u8>,
    kind: u32,
    size: u64,
    /// The section that this one refers to: for symbols, that of their names.
    link: usize,
}

impl Binary {
    /// Reads it.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let sections = sections(&file)?;
        let mut strippable_bytes = 0;
        for section in &sections {
            if section.kind == SYMBOLS {
                strippable_bytes += section.size + sections.get(section.link).map_or(0, |names| names.size);
            } else if section.name.starts_with(b".debug_") {
                strippable_bytes += section.size;
            }
        }
        Ok(Self { bytes, strippable_bytes })
    }
}

/// The sections; none for another kind of file than the little-endian 64-bit
/// ELF.
fn sections(file: &File) -> io::Result<Vec<Section>> {
    let mut header = [0; 64];
    let is_elf = file.read_exact_at(&mut header, 0).is_ok() && header.starts_with(b"\x7fELF\x02\x01");
    if !is_elf || number(&header, 58, 2) != ENTRY as u64 {
        return Ok(Vec::new());
    }
    let mut entries = vec![[0; ENTRY]; place(number(&header, 60, 2))];
    for (index, entry) in (0..).zip(&mut entries) {
        file.read_exact_at(entry, number(&header, 40, 8) + index * ENTRY as u64)?;
    }
    let mut texts = Vec::new();
    if let Some(entry) = entries.get(place(number(&header, 62, 2))) {
        texts.resize(place(number(entry, 32, 8)), 0);
        file.read_exact_at(&mut texts, number(entry, 24, 8))?;
    }
    let section = |entry: &[u8; ENTRY]| {
        let text = texts.get(place(number(entry, 0, 4))..).unwrap_or_default();
        Section {
            name: text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            kind: u32::try_from(number(entry, 4, 4)).unwrap_or_default(),
            size: number(entry, 32, 8),
            link: place(number(entry, 40, 4)),
        }
    };
    Ok(entries.iter().map(section).collect())
}

/// The little-endian number of `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    let digits = bytes.get(at..at + width).unwrap_or_default();
    digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit))
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_holds_symbols_and_what_debuggers_need() {
        let path = std::env::current_exe().expect("a path");
        let binary = Binary::read(&path).expect("a file");
        assert_eq!(binary.bytes, std::fs::metadata(&path).expect("a file").len());
        assert!((1..binary.bytes).contains(&binary.strippable_bytes), "{binary:?}");
    }

    #[test]
    fn another_kind_of_file_has_a_size_only() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert_eq!(Binary::read(&path).expect("a file").strippable_bytes, 0);
    }
}
