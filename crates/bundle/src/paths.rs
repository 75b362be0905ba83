//! Which paths a bundle may name: relative, of plain parts, the same on every system.

/// Longest path, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 512;
/// Longest part, in bytes.
const PART_BYTES_MAX: usize = 255;

/// Whether a path is relative, made of plain parts alone, and short.
pub(crate) fn is_plain_relative(path: &str) -> bool {
    !path.is_empty() && path.len() <= PATH_BYTES_MAX && path.split('/').all(is_plain_part)
}

fn is_plain_part(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && part.len() <= PART_BYTES_MAX
        && part.chars().all(|letter| letter != '\\' && !letter.is_control())
}
