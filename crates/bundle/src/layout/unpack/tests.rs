//! Unpacking layers: what images rely on, and hostile archives, none of which may touch anything outside.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
};

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::digests;

/// A member: kind, path, content or target of a link.
type Given<'a> = (EntryType, &'a str, &'a str);

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const HARDLINK: EntryType = EntryType::Link;

/// An archive, its headers written as they are given: no builder refuses a path here.
fn archive(given: &[Given<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, path, content) in given {
        let is_file = !matches!(*kind, EntryType::Symlink | EntryType::Link | EntryType::Directory);
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == FOLDER { 0o755 } else { 0o4755 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if !is_file {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        if is_file {
            bytes.extend_from_slice(content.as_bytes());
            bytes.resize(bytes.len().div_ceil(512) * 512, 0);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A root beside a file that no image may reach.
struct Ground {
    dir: TempDir,
    left: Left,
}

impl Ground {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("noted")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "untouched").unwrap();
        Self { dir, left: Left { bytes: 1 << 20, members: 100 } }
    }

    fn layer(&self, blob: &[u8], packing: LayerPacking, unpacked: Digest) -> ImageLayer {
        let digest = digests::of(blob);
        fs::write(blob_path(self.dir.path(), &digest), blob).unwrap();
        ImageLayer { digest, bytes: blob.len() as u64, packing, unpacked }
    }

    /// Unpacks for whoever runs the image, and beside it for whoever makes a file system of it: one is as strict as the other.
    fn unpack(&mut self, layer: &ImageLayer) -> Result<(), BundleError> {
        let mut left = self.left;
        let mut root = Root::open(&self.dir.path().join("noted"), Ownership::Noted)?;
        let noted = unpack_layer(self.dir.path(), layer, &mut root, &mut left);
        let mut root = Root::open(&self.root(""), Ownership::Own)?;
        let unpacked = unpack_layer(self.dir.path(), layer, &mut root, &mut self.left);
        let code = |result: &Result<(), BundleError>| result.as_ref().map_err(BundleError::code).err();
        assert_eq!(code(&noted), code(&unpacked));
        unpacked
    }

    fn tar(&mut self, given: &[Given<'_>]) -> Result<(), BundleError> {
        let bytes = archive(given);
        let layer = self.layer(&bytes, LayerPacking::Tar, digests::of(&bytes));
        self.unpack(&layer)
    }

    fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn refused(&mut self, given: &[Given<'_>]) -> u16 {
        let code = self.tar(given).unwrap_err().code();
        self.check_outside();
        code
    }

    fn check_outside(&self) {
        let outside = self.dir.path().join("outside");
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(outside).unwrap().count(), 1);
        assert_eq!(fs::metadata(self.dir.path().join("outside/secret")).unwrap().nlink(), 1);
    }
}

#[test]
fn layers_lie_upon_one_another() {
    let mut ground = Ground::new();
    ground
        .tar(&[
            (FOLDER, "./", ""),
            (FOLDER, "usr/lib/", ""),
            (SYMLINK, "lib", "usr/lib"),
            (FILE, "usr/lib/kept", "1"),
            (FILE, "usr/lib/gone", "1"),
            (FOLDER, "etc/", ""),
            (FILE, "etc/old", "1"),
            (FOLDER, "etc/deep", ""),
            (FILE, "etc/deep/old", "1"),
            (HARDLINK, "usr/lib/twin", "usr/lib/kept"),
        ])
        .unwrap();
    // Folders that nobody described are made, and a path through a link of the image ends inside of it.
    ground
        .tar(&[
            (FILE, "/lib/new", "2"),
            (FILE, "lib/.wh.gone", ""),
            (FILE, "etc/deep/new", "2"),
            (FILE, "etc/.wh..wh..opq", ""),
            (FILE, "etc/fresh", "2"),
            (FILE, "a/b/c", "2"),
            (FOLDER, "lib", ""),
        ])
        .unwrap();
    let there = |path: &str| fs::symlink_metadata(ground.root(path)).is_ok();
    for path in ["usr/lib/kept", "usr/lib/new", "usr/lib/twin", "etc/deep/new", "etc/fresh", "a/b/c"] {
        assert!(there(path), "{path}");
    }
    for path in ["usr/lib/gone", "etc/old", "etc/deep/old", "etc/.wh..wh..opq", "usr/lib/.wh.gone"] {
        assert!(!there(path), "{path}");
    }
    assert!(fs::symlink_metadata(ground.root("lib")).unwrap().is_dir(), "the last layer's word for `lib` counts");
    let about = fs::metadata(ground.root("usr/lib/kept")).unwrap();
    assert_eq!((about.permissions().mode() & 0o7777, about.nlink()), (0o755, 2), "setuid is dropped");
}

#[test]
fn an_images_files_are_listed_with_what_it_says_of_them_whoever_unpacks() {
    let ground = Ground::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |kind: EntryType, path: &str, (mode, uid, gid): (u32, u64, u64), content: &str| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        if kind == FILE {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        } else {
            header.set_size(0);
            builder.append_link(&mut header, path, content).unwrap();
        }
    };
    // Nobody but its owner may read it; whoever lists it may.
    add(FILE, "var/secret", (0o4000, 33, 34), "of the image");
    add(FILE, "var/gone", (0o644, 1, 1), "");
    add(SYMLINK, "link", (0o777, 7, 8), "/var/secret");
    add(HARDLINK, "twin", (0o644, 0, 0), "var/secret");
    let lower = builder.into_inner().unwrap();
    let upper = archive(&[(FILE, "var/.wh.gone", "")]);
    let place = ground.dir.path().join("noted");
    let mut root = Root::open(&place, Ownership::Noted).unwrap();
    let mut left = ground.left;
    for bytes in [lower, upper] {
        let layer = ground.layer(&bytes, LayerPacking::Tar, digests::of(&bytes));
        unpack_layer(ground.dir.path(), &layer, &mut root, &mut left).unwrap();
    }
    let files = files::listed(&place, root).unwrap();
    let of = |file: &UnpackedFile| {
        let kind = match &file.kind {
            UnpackedKind::Folder => "folder".to_owned(),
            UnpackedKind::File(place) => fs::read_to_string(place).unwrap(),
            UnpackedKind::Symlink(target) => target.clone(),
        };
        (file.path.clone(), kind, file.mode, file.uid, file.gid)
    };
    let expect = [
        ("", "folder", 0o755, 0, 0),
        ("link", "/var/secret", 0o777, 7, 8),
        ("twin", "of the image", 0, 33, 34),
        ("var", "folder", 0o755, 0, 0),
        ("var/secret", "of the image", 0, 33, 34),
    ];
    let expect = expect.map(|(path, kind, mode, uid, gid)| (path.to_owned(), kind.to_owned(), mode, uid, gid));
    assert_eq!(files.iter().map(of).collect::<Vec<_>>(), expect);
}

#[test]
fn long_names_and_packings_are_read() {
    let mut ground = Ground::new();
    let path = format!("{}/file", "long".repeat(50));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    builder.append_data(&mut header, &path, &b"new"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&bytes).unwrap();
    let gzip = ground.layer(&packed.finish().unwrap(), LayerPacking::Gzip, digests::of(&bytes));
    let zstd = ground.layer(&zstd::encode_all(&bytes[..], 1).unwrap(), LayerPacking::Zstd, digests::of(&bytes));
    for layer in [gzip, zstd] {
        ground.unpack(&layer).unwrap();
        assert_eq!(fs::read_to_string(ground.root(&path)).unwrap(), "new");
        fs::remove_file(ground.root(&path)).unwrap();
    }
}

#[test]
fn no_path_leaves_the_root() {
    for path in ["../outside/secret", "a/../../outside/secret", "/../outside/new", "a/..", ".wh..."] {
        let mut ground = Ground::new();
        let code = ground.refused(&[(FILE, path, "changed")]);
        assert_eq!(code, 116, "{path}");
    }
    // Neither a whiteout of the root's parent nor an empty one removes anything.
    assert_eq!(Ground::new().refused(&[(FILE, ".wh.", "")]), 116);
    assert_eq!(Ground::new().refused(&[(FILE, "outside/.wh.../", "")]), 116);
    let deep = ["a"; 45].join("/");
    assert_eq!(Ground::new().tar(&[(FILE, &deep, "")]).map_err(|error| error.code()), Ok(()));
}

#[test]
fn no_link_leads_outside() {
    let outside = "../outside";
    // A link out, and a path through it: resolved inside, where there is nothing.
    for target in [outside, "/../outside", "../../../../outside"] {
        let mut ground = Ground::new();
        assert_eq!(ground.refused(&[(SYMLINK, "out", target), (FILE, "out/secret", "changed")]), 117, "{target}");
        let mut ground = Ground::new();
        assert_eq!(ground.refused(&[(SYMLINK, "out", target), (HARDLINK, "in", "out/secret")]), 118, "{target}");
        let mut ground = Ground::new();
        ground.tar(&[(SYMLINK, "out", target), (FILE, "out", "mine")]).unwrap();
        ground.check_outside();
        let mut ground = Ground::new();
        ground.tar(&[(SYMLINK, "out", target), (FILE, "out/.wh.secret", ""), (FILE, "out/.wh..wh..opq", "")]).unwrap();
        ground.check_outside();
        let mut ground = Ground::new();
        ground.tar(&[(SYMLINK, "out", target)]).unwrap();
        assert_eq!(ground.refused(&[(FOLDER, "out/new", "")]), 117, "{target}");
        assert!(read_in_root(&ground.root(""), "out/secret", 100).unwrap().is_none());
    }
    // Hard links to what is not there, to folders, to the root, and outside.
    for target in ["gone", "folder", "", "../outside/secret", "/etc/../../outside/secret"] {
        let code = Ground::new().refused(&[(FOLDER, "folder", ""), (HARDLINK, "in", target)]);
        assert_eq!(code, 118, "{target}");
    }
    // A link that was there before, to a file outside, is replaced and not written through.
    let mut ground = Ground::new();
    symlink(ground.dir.path().join("outside/secret"), ground.root("planted")).unwrap();
    ground.tar(&[(FILE, "planted", "mine")]).unwrap();
    ground.check_outside();
    // Links in a circle.
    let circle = [(SYMLINK, "a", "b"), (SYMLINK, "b", "a"), (FILE, "a/x", "")];
    assert_eq!(Ground::new().refused(&circle), 117);
}

#[test]
fn devices_and_other_special_members_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::new(b'S')] {
        assert_eq!(Ground::new().refused(&[(kind, "dev/null", "")]), 119);
    }
}

#[test]
fn bombs_end_at_their_bounds() {
    // A gzip bomb: 64 MiB of zeros in 64 kB.
    let mut ground = Ground::new();
    let zeros = "\0".repeat(64 << 20);
    let bytes = archive(&[(FILE, "bomb", &zeros)]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&bytes).unwrap();
    let layer = ground.layer(&packed.finish().unwrap(), LayerPacking::Gzip, digests::of(&bytes));
    assert!(layer.bytes < 100_000);
    assert_eq!(ground.unpack(&layer).unwrap_err().code(), 121);
    assert!(fs::metadata(ground.root("bomb")).unwrap().len() <= 1 << 20);
    // Too many members.
    let names: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let many: Vec<Given<'_>> = names.iter().map(|name| (FILE, name.as_str(), "")).collect();
    assert_eq!(Ground::new().refused(&many), 120);
    // A name of a megabyte.
    let name = "a".repeat(1 << 19);
    assert_eq!(Ground::new().refused(&[(EntryType::GNULongName, "././@LongLink", &name)]), 116);
    // A window of 2 GiB under zstd: its frame header asks for it.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let layer = Ground::new().layer(&frame, LayerPacking::Zstd, digests::of(b""));
    let mut ground = Ground::new();
    fs::write(blob_path(ground.dir.path(), &layer.digest), frame).unwrap();
    assert_eq!(ground.unpack(&layer).unwrap_err().code(), 115);
}

#[test]
fn archives_that_lie_are_refused() {
    // The config names another content.
    let mut ground = Ground::new();
    let bytes = archive(&[(FILE, "a", "1")]);
    let layer = ground.layer(&bytes, LayerPacking::Tar, digests::of(b"another"));
    assert_eq!(ground.unpack(&layer).unwrap_err().code(), 122);
    // Cut short, not an archive, not packed as said.
    let cut = ground.layer(&bytes[..600], LayerPacking::Tar, digests::of(&bytes[..600]));
    assert_eq!(ground.unpack(&cut).unwrap_err().code(), 115);
    for packing in [LayerPacking::Gzip, LayerPacking::Zstd] {
        let layer = ground.layer(&bytes, packing, digests::of(&bytes));
        assert_eq!(ground.unpack(&layer).unwrap_err().code(), 115);
    }
    let noise = ground.layer(&[b'x'; 2048], LayerPacking::Tar, digests::of(&[b'x'; 2048]));
    assert_eq!(ground.unpack(&noise).unwrap_err().code(), 115);
    // Two sizes of one member: two readers would see two archives.
    let pax = "15 size=4096\n\n";
    let pax = format!("{:02} {}", pax.len() - 1, &pax[3..pax.len() - 1]);
    assert_eq!(Ground::new().refused(&[(EntryType::XHeader, "pax", &pax), (FILE, "a", "1")]), 115);
    // Content behind a link.
    let mut bytes = archive(&[(FILE, "a", "1")]);
    bytes[156] = b'2';
    let mut header = Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let layer = ground.layer(&bytes, LayerPacking::Tar, digests::of(&bytes));
    assert_eq!(ground.unpack(&layer).unwrap_err().code(), 115);
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_unpacker(noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2048), at in 0usize..1024) {
        let mut ground = Ground::new();
        let mut bytes = archive(&[(FOLDER, "a", ""), (FILE, "a/b", "content"), (SYMLINK, "c", "../outside")]);
        let end = bytes.len().min(at + noise.len());
        let start = at.min(end);
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        let layer = ground.layer(&bytes, LayerPacking::Tar, digests::of(&bytes));
        let _ = ground.unpack(&layer);
        ground.check_outside();
    }
}
