//! How a registry asks to be let in: the header `WWW-Authenticate` (RFC 9110 §11.6.1, and the token scheme of the distribution
//! project).

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a service.
    Bearer {
        /// Where the service is.
        realm: String,
        /// Whose tokens it should give.
        service: Option<String>,
    },
}

/// Longest header that is read, in bytes.
const HEADER_BYTES_MAX: usize = 4_096;

/// Reads one challenge; `None` for what is none, or of another scheme.
pub(super) fn read(header: &str) -> Option<Challenge> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service) = (None, None);
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = value(behind)?;
        match name.trim().to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            _ => {}
        }
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    Some(Challenge::Bearer { realm: realm?, service })
}

/// A word or a quoted text, and what stands behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Challenge, read};

    #[test]
    fn challenges_are_read_and_nonsense_is_none() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let check = |header: &str, expect: Option<Challenge>| assert_eq!(read(header), expect, "{header}");
        check("Basic realm=\"x\"", Some(Challenge::Basic));
        check("basic", Some(Challenge::Basic));
        let whole = "Bearer realm=\"https://a.example/token\",service=\"r\",scope=\"repository:a,b:pull\"";
        check(whole, bearer("https://a.example/token", Some("r")));
        check("bearer scope=x, realm=https://a/t", bearer("https://a/t", None));
        check("Bearer realm=\"a\\\"b\"", bearer("a\"b", None));
        for header in ["", "Bearer", "Bearer realm", "Bearer service=\"a\"", "Bearer realm=\"a", "Negotiate x", "="] {
            check(header, None);
        }
        check(&format!("Bearer realm=\"{}\"", "a".repeat(5_000)), None);
    }
}
