//! Which numbers a user of an image has: `USER`, `USER:GROUP`, by name or number (OCI image specification 1.1, config.md), names
//! by the image's own `/etc/passwd` and `/etc/group`.

use std::{io, path::Path};

use freehold_bundle::read_in_root;

/// Largest file of users or groups that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Users and groups are below this number: that many are mapped.
const IDS: u32 = 65_536;
/// Most further groups of a user.
const GROUPS_MAX: usize = 64;

/// Numbers of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Groups it is in beside its own.
    pub(crate) groups: Vec<u32>,
    /// Its folder.
    pub(crate) home: Option<String>,
}

/// Looks a user up in an unpacked image; `None` if it has no such user or group.
pub(crate) fn find(root: &Path, wanted: &str) -> io::Result<Option<User>> {
    let file = |path| read_in_root(root, path, FILE_BYTES_MAX).map(|bytes| bytes.unwrap_or_default());
    let (users, groups) = (file("etc/passwd")?, file("etc/group")?);
    Ok(of(wanted, &String::from_utf8_lossy(&users), &String::from_utf8_lossy(&groups)))
}

fn of(wanted: &str, users: &str, groups: &str) -> Option<User> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id < IDS);
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let mut known = users.lines().map(fields).filter(|fields| fields.len() >= 6);
    let entry =
        known.find(|fields| fields[0] == user || (number(user).is_some() && number(&fields[2]) == number(user)));
    let (name, uid, own_gid, home) = match entry {
        Some(fields) => (Some(fields[0].clone()), number(&fields[2])?, number(&fields[3])?, Some(fields[5].clone())),
        // A number needs no entry.
        None => (None, number(user)?, 0, None),
    };
    let known: Vec<Vec<String>> = groups.lines().map(fields).filter(|fields| fields.len() >= 3).collect();
    let gid = match group {
        None => own_gid,
        Some(group) => match known.iter().find(|fields| fields[0] == group) {
            Some(fields) => number(&fields[2])?,
            None => number(group)?,
        },
    };
    let has_member = |fields: &&Vec<String>| {
        let members = fields.get(3).map(String::as_str).unwrap_or_default();
        name.as_deref().is_some_and(|name| members.split(',').any(|member| member == name))
    };
    // A group that was asked for is the only one.
    let further = known.iter().filter(has_member).filter_map(|fields| number(&fields[2])).filter(|other| *other != gid);
    let groups = if group.is_some() { Vec::new() } else { further.take(GROUPS_MAX).collect() };
    Some(User { uid, gid, groups, home: home.filter(|home| home.starts_with('/')) })
}

#[cfg(test)]
mod tests {
    use super::{User, of};

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/sbin/nologin\nbad:x:99999999:1::/:/\n:::\n";
    const GROUPS: &str = "root:x:0:\nwww:x:34:\nmail:x:8:web,root\nbad:x:-1:web\n";

    #[test]
    fn users_are_found_by_name_and_number_and_strange_ones_are_refused() {
        let check = |wanted: &str, expect: Option<(u32, u32, &[u32])>| {
            let found = of(wanted, USERS, GROUPS);
            let found = found.as_ref().map(|User { uid, gid, groups, .. }| (*uid, *gid, groups.as_slice()));
            assert_eq!(found, expect, "{wanted}");
        };
        check("0", Some((0, 0, &[8])));
        check("root", Some((0, 0, &[8])));
        check("web", Some((33, 34, &[8])));
        check("33", Some((33, 34, &[8])));
        check("web:mail", Some((33, 8, &[])));
        check("1000", Some((1000, 0, &[])));
        check("1000:1001", Some((1000, 1001, &[])));
        for wanted in ["nobody", "web:none", "-1", "65536", "4294967296", "", "bad", ":", "0:65536"] {
            check(wanted, None);
        }
    }
}
