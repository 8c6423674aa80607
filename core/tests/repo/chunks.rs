//! Writing chunks that Automerge would not write. Checksums are left out: counting comes before them.

/// An unsigned LEB128 number.
pub(crate) fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A signed LEB128 number.
pub(crate) fn signed(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !(-64..64).contains(&value) {
        bytes.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8 & 0x7f);
    bytes
}

/// Bytes behind their number.
pub(crate) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [unsigned(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A chunk of a type with a body.
pub(crate) fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, kind][..], &prefixed(body)].concat()
}

/// A run of one number.
pub(crate) fn run(len: i64, number: u64) -> Vec<u8> {
    [signed(len), unsigned(number)].concat()
}

/// A run of one difference.
pub(crate) fn step(len: i64, difference: i64) -> Vec<u8> {
    [signed(len), signed(difference)].concat()
}

/// A run of one text.
pub(crate) fn texts(len: i64, text: &str) -> Vec<u8> {
    [signed(len), prefixed(text.as_bytes())].concat()
}

type Column = (u64, Vec<u8>);

/// Columns' specifications and lengths, then the columns.
pub(crate) fn heads_and_data(columns: &[Column]) -> (Vec<u8>, Vec<u8>) {
    let heads = columns.iter().map(|(spec, data)| [unsigned(*spec), unsigned(data.len() as u64)].concat());
    let heads = [vec![unsigned(columns.len() as u64)], heads.collect()].concat().concat();
    (heads, columns.iter().map(|(_, data)| data.clone()).collect::<Vec<_>>().concat())
}

/// The body of a change by one actor, with no dependencies, that has these columns.
pub(crate) fn change(start_op: u64, columns: &[Column]) -> Vec<u8> {
    let (heads, data) = heads_and_data(columns);
    [&[0][..], &prefixed(b"actor"), &[1], &unsigned(start_op), &[0, 0, 0], &heads, &data].concat()
}

/// A change that puts `ops` times the value null under one key of the root.
pub(crate) fn puts(ops: i64) -> Vec<u8> {
    change(1, &put_columns(ops))
}

/// The columns of [`puts`].
pub(crate) fn put_columns(ops: i64) -> Vec<Column> {
    vec![
        (0x15, texts(ops, "k")),
        (0x34, unsigned(ops as u64)),
        (0x42, run(ops, 1)),
        (0x56, run(ops, 0)),
        (0x70, run(ops, 0)),
    ]
}

/// The body of a document of one actor with these columns of changes and operations.
pub(crate) fn document(changes: &[Column], ops: &[Column]) -> Vec<u8> {
    let ((change_heads, change_data), (op_heads, op_data)) = (heads_and_data(changes), heads_and_data(ops));
    [&[1][..], &prefixed(b"actor"), &[0], &change_heads, &op_heads, &change_data, &op_data].concat()
}

/// A sync message of version 1 with these chunks.
pub(crate) fn message(chunks: &[Vec<u8>]) -> Vec<u8> {
    let count = unsigned(chunks.len() as u64);
    let chunks: Vec<u8> = chunks.iter().flat_map(|chunk| prefixed(chunk)).collect();
    [&[0x42, 0, 0, 0][..], &count, &chunks].concat()
}

/// A sync message with one filter.
pub(crate) fn with_filter(entries: u64, bits: u64, probes: u64, data: &[u8]) -> Vec<u8> {
    let filter = [&unsigned(entries)[..], &unsigned(bits), &unsigned(probes), data].concat();
    [&[0x42, 0, 0, 1, 0][..], &prefixed(&filter), &[0]].concat()
}
