//! Rows in the form that PostgreSQL copies in and out, and sums over them. The
//! same row has the same bytes, whichever database it was read from.

use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};

use super::tables::{Column, Kind};

/// What every copy begins with: a signature, no flags, no extension. See "Binary
/// Format" in PostgreSQL's page about COPY.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What every copy ends with, in the place of a number of columns.
pub(crate) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Rows that are moved together, behind each other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
}

/// Adds the row that SQLite has just read, or tells which of its columns can't be
/// moved and why.
pub(crate) fn append(
    bytes: &mut Vec<u8>,
    row: &rusqlite::Row<'_>,
    columns: &[Column],
) -> Result<(), (&'static str, String)> {
    bytes.extend(i16::try_from(columns.len()).unwrap_or(i16::MAX).to_be_bytes());
    for (index, column) in columns.iter().enumerate() {
        let value = row.get_ref(index).map_err(|error| (column.name, error.to_string()))?;
        field(bytes, column.kind, value).map_err(|what| (column.name, what))?;
    }
    Ok(())
}

fn field(bytes: &mut Vec<u8>, kind: Kind, value: ValueRef<'_>) -> Result<(), String> {
    let out_of_range = |_| "a number that is out of range".to_owned();
    match (kind, value) {
        (_, ValueRef::Null) => bytes.extend((-1_i32).to_be_bytes()),
        (Kind::Bool, ValueRef::Integer(value @ (0 | 1))) => sized(bytes, &[u8::from(value == 1)])?,
        (Kind::Small, ValueRef::Integer(value)) => {
            sized(bytes, &i16::try_from(value).map_err(out_of_range)?.to_be_bytes())?;
        }
        (Kind::Integer, ValueRef::Integer(value)) => {
            sized(bytes, &i32::try_from(value).map_err(out_of_range)?.to_be_bytes())?;
        }
        (Kind::Big, ValueRef::Integer(value)) => sized(bytes, &value.to_be_bytes())?,
        (Kind::Real, ValueRef::Real(value)) => sized(bytes, &value.to_bits().to_be_bytes())?,
        (Kind::Text, ValueRef::Text(value)) => {
            let text = std::str::from_utf8(value).map_err(|_| "a text that is not UTF-8".to_owned())?;
            if text.contains('\0') {
                return Err("a text with the character U+0000, which PostgreSQL does not keep".to_owned());
            }
            sized(bytes, value)?;
        }
        (Kind::Bytes, ValueRef::Blob(value)) => sized(bytes, value)?,
        (Kind::Webhook, ValueRef::Blob(value)) => {
            let key = value.try_into().map_err(|_| "not exactly one webhook".to_owned())?;
            sized(bytes, &i64::from(u32::from_le_bytes(key)).to_be_bytes())?;
        }
        (_, other) => return Err(format!("a value of another type: {}", other.data_type())),
    }
    Ok(())
}

fn sized(bytes: &mut Vec<u8>, value: &[u8]) -> Result<(), String> {
    let length = i32::try_from(value.len()).map_err(|_| "a value that is too long".to_owned())?;
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(value);
    Ok(())
}

/// A sum over rows that does not depend on their order: databases sort texts
/// differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) rows: u64,
    sum: [u128; 2],
}

impl Checksum {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: &[u8]) {
        let digest: [u8; 32] = Sha256::digest(row).into();
        for (sum, part) in self.sum.iter_mut().zip(digest.as_chunks().0) {
            *sum = sum.wrapping_add(u128::from_be_bytes(*part));
        }
        self.rows += 1;
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}{:032x}", self.sum[0], self.sum[1])
    }
}

/// Finds the rows in what PostgreSQL copies out, however it is cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The beginning of what is not there as a whole yet.
    rest: Vec<u8>,
    begun: bool,
}

impl Rows {
    /// Calls `each` for every row that ends in this piece.
    pub(crate) fn push(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) {
        self.rest.extend_from_slice(piece);
        let mut at = 0;
        if !self.begun {
            if self.rest.len() < HEADER.len() {
                return;
            }
            self.begun = true;
            at = HEADER.len();
        }
        while let Some(end) = row_end(&self.rest, at) {
            each(&self.rest[at..end]);
            at = end;
        }
        self.rest.drain(..at);
    }

    /// Whether what came was a whole copy.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun && self.rest == TRAILER
    }
}

/// Where the row ends that begins at `at`; `None` when it is not all there, and
/// for the trailer.
fn row_end(bytes: &[u8], at: usize) -> Option<usize> {
    let columns = i16::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
    let mut at = at + 2;
    for _ in 0..usize::try_from(columns).ok()? {
        let length = i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
        // What is null has a length of -1.
        at += 4 + usize::try_from(length).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { name: "a", value: "a", kind: Kind::Big },
        Column { name: "b", value: "b", kind: Kind::Text },
        Column { name: "c", value: "c", kind: Kind::Bytes },
    ];

    /// The rows of a statement, each as bytes.
    fn rows(sql: &str) -> Result<Vec<Vec<u8>>, (&'static str, String)> {
        let conn = rusqlite::Connection::open_in_memory().expect("a database");
        let mut statement = conn.prepare(sql).expect("a statement");
        let mut found = statement.query([]).expect("rows");
        let mut rows = Vec::new();
        while let Some(row) = found.next().expect("a row") {
            let mut bytes = Vec::new();
            append(&mut bytes, row, COLUMNS)?;
            rows.push(bytes);
        }
        Ok(rows)
    }

    #[test]
    fn rows_are_found_however_a_copy_is_cut() {
        let rows = rows("VALUES (1, 'one', x'00ff'), (2, NULL, x''), (-3, '', NULL)").expect("rows");
        let copy = [HEADER, &rows.concat(), &TRAILER].concat();
        for size in 1..copy.len() {
            let (mut found, mut finder) = (Vec::new(), Rows::default());
            for piece in copy.chunks(size) {
                assert!(!finder.is_whole());
                finder.push(piece, |row| found.push(row.to_vec()));
            }
            assert!(finder.is_whole() && found == rows, "{size}");
        }
    }

    #[test]
    fn what_cannot_be_moved_is_named() {
        assert_eq!(rows("VALUES (1, 'a' || char(0), x'')").expect_err("no row").0, "b");
        assert_eq!(rows("VALUES ('1', '', x'')").expect_err("no row").0, "a");
        assert_eq!(rows("VALUES (1, '', '')").expect_err("no row").0, "c");
        assert_eq!(rows("VALUES (1, CAST(x'ff' AS TEXT), x'')").expect_err("no row").0, "b");
    }

    #[test]
    fn a_sum_tells_rows_apart_and_not_their_order() {
        let sum = |rows: &[&[u8]]| {
            let mut sum = Checksum::default();
            for row in rows {
                sum.add(row);
            }
            sum
        };
        assert_eq!(sum(&[b"a", b"b"]), sum(&[b"b", b"a"]));
        assert_ne!(sum(&[b"a", b"a"]), sum(&[b"b", b"b"]));
        assert_ne!(sum(&[b"ab", b""]), sum(&[b"a", b"b"]));
    }
}
