//! The examples of `docs/wire.md`, for tests.

/// The bytes of the block "golden `name`".
pub(crate) fn golden(name: &str) -> Vec<u8> {
    let doc = include_str!("../../../../docs/wire.md");
    let opening = format!("```golden {name}\n");
    let (_, rest) = doc.split_once(&opening).unwrap_or_else(|| panic!("docs/wire.md has no golden {name}"));
    let (block, _) = rest.split_once("```").expect("the block ends");
    block.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}
