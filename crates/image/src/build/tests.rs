//! Images that are whole, and images that were changed.

use super::*;

fn parts() -> ImageParts {
    let mut files = Tree::new();
    files.file("run", b"app".to_vec(), true).unwrap();
    ImageParts {
        kernel: KernelFiles {
            kernel: vec![1, 2, 3],
            modules: vec![("b.ko.xz".to_owned(), vec![4])],
            container_modules: vec![("c.ko.xz".to_owned(), vec![5])],
        },
        programs: Vec::new(),
        system: Vec::new(),
        files,
        beside: Tree::new(),
        start: AppStart {
            app: Digest([1; 32]),
            event: Register([2; 48]),
            kind: StartKind::Process,
            command: vec!["./run".to_owned()],
            environment: Vec::new(),
            memory_mib: None,
            open_files: None,
            processes: None,
            file_mib: None,
            restart: RestartRule::Never,
            storage: AppStorage::NONE,
            proxy: None,
            ingress: AppIngress::default(),
            models: Vec::new(),
            scopes: Vec::new(),
        },
        models: None,
    }
}

#[test]
fn the_same_parts_are_the_same_image_and_every_part_shows() {
    let image = Image::build(parts()).unwrap();
    assert_eq!(Image::build(parts()).unwrap(), image);
    let (root, app) = image.line.image().unwrap();
    assert_eq!((root, app), (image.root, Digest([1; 32])));
    // What the app is, how it starts and what its files hold is under the root, and so on the command line.
    let mut other = parts();
    other.start.command.push("--fast".to_owned());
    assert_ne!(Image::build(other).unwrap().line, image.line);
    let mut other = parts();
    other.files.file("more", Vec::new(), false).unwrap();
    assert_ne!(Image::build(other).unwrap().line, image.line);
    let mut other = parts();
    other.start.app = Digest([9; 32]);
    assert_ne!(Image::build(other).unwrap().line, image.line);
    let mut other = parts();
    other.beside.file("images/a", vec![1], false).unwrap();
    assert_ne!(Image::build(other).unwrap().line, image.line);
    // What containers need of the kernel is there for containers alone.
    let mut other = parts();
    other.start.kind = StartKind::Containers;
    let other = Image::build(other).unwrap();
    assert!(other.line != image.line && other.initrd.len() > image.initrd.len());
    // Modules are in the initramfs, which is measured beside the command line.
    let mut other = parts();
    other.kernel.modules[0].1 = vec![5];
    let other = Image::build(other).unwrap();
    assert!(other.line == image.line && other.initrd != image.initrd && other.digest() != image.digest());
}

#[test]
fn a_changed_file_of_an_image_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::build(parts()).unwrap();
    image.write(folder.path()).unwrap();
    assert_eq!(Image::open(folder.path()).unwrap(), image);
    for name in ["kernel", "initrd", "disk", "image.json"] {
        let path = folder.path().join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[0] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert_eq!(Image::open(folder.path()).unwrap_err().code(), 27, "{name}");
        std::fs::write(&path, &good).unwrap();
    }
    std::fs::remove_file(folder.path().join("disk")).unwrap();
    assert_eq!(Image::open(folder.path()).unwrap_err().code(), 26);
}

#[test]
fn a_command_line_that_names_no_image_is_told() {
    for line in ["", "freehold.root=00", "freehold.root=zz freehold.blocks=1 freehold.app=00"] {
        assert_eq!(CommandLine::new(line).unwrap().image(), None, "{line}");
    }
}
