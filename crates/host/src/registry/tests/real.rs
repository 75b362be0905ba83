//! Against the distribution project's own registry (Debian: `docker-registry`), started here.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use freehold_bundle::{BUNDLE_BYTES_MAX, add_signature, open_bundle};
use freehold_crypto::AccountKey;

use super::*;

/// A registry that runs until it is dropped.
struct RealRegistry {
    child: Child,
    address: String,
    _dir: TempDir,
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one; where the program is missing, says so loudly.
fn started() -> Option<RealRegistry> {
    let dir = TempDir::new().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let config = dir.path().join("config.yml");
    let storage = dir.path().join("storage");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
        storage.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("SKIPPED: needs a registry (Debian: `apt-get install docker-registry`), which is missing here");
        return None;
    };
    let registry = RealRegistry { child, address, _dir: dir };
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(&registry.address).is_err() {
        assert!(Instant::now() < end, "the registry does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(registry)
}

#[tokio::test]
async fn a_bundle_goes_to_a_registry_and_comes_back_with_its_signature() {
    let Some(real) = started() else { return };
    let (dir, bundle, layout) = an_app();
    let signed = add_signature(&layout, &AccountKey::from_bytes(&[7; 32]).unwrap()).unwrap();
    let name = format!("{}/shop/oracle", real.address);
    let registry = opened(&name, Access::Write, None);
    let pushed = registry.push_bundle(&signed, &layout, "1.0").await.unwrap();
    assert_eq!((pushed.sent.0, pushed.beside), (pushed.blobs, 2));
    // What is there is not sent again.
    assert_eq!(registry.push_bundle(&signed, &layout, "latest").await.unwrap().sent, (0, 0));
    let reader = opened(&name, Access::Anonymous, None);
    assert_eq!(reader.digest_of_tag("1.0").await.unwrap(), bundle.digest());
    assert_eq!(reader.digest_of_tag("2.0").await.unwrap_err().code(), 137);
    let into = dir.path().join("in");
    let brought = reader.pull_bundle(bundle.digest(), &into, BUNDLE_BYTES_MAX).await.unwrap();
    assert_eq!((brought.digest(), brought.files()), (bundle.digest(), bundle.files()));
    assert_eq!(brought.signatures().len(), 1);
    assert_eq!(open_bundle(&into).unwrap().signatures()[0].account, signed.signatures()[0].account);
    // A bound holds.
    let refused = reader.pull_bundle(bundle.digest(), &dir.path().join("small"), 1_000).await.unwrap_err();
    assert_eq!(refused.code(), 106);
}

#[tokio::test]
async fn an_image_comes_from_a_registry_and_makes_the_same_bundle() {
    let Some(real) = started() else { return };
    let dir = TempDir::new().unwrap();
    // An app whose image is a whole one, in a layout.
    let (folder, image) = image_app(dir.path(), &real.address);
    let with_images = build_bundle(&folder, &dir.path().join("one")).unwrap();
    // The image is put into the registry as others would.
    let name = format!("{}/shop/web", real.address);
    let layout = folder.join("images");
    push_image(&opened(&name, Access::Write, None), &layout, &image).await;
    fs::rename(&layout, dir.path().join("away")).unwrap();
    let compose = with_images.compose().unwrap().clone();
    pull_images(&compose, &layout).await.unwrap();
    // What is there is not asked for again, though the registry is gone.
    drop(real);
    pull_images(&compose, &layout).await.unwrap();
    let from_registry = build_bundle(&folder, &dir.path().join("two")).unwrap();
    assert_eq!(from_registry.digest(), with_images.digest());
    assert_eq!(from_registry.images(), with_images.images());
    assert_eq!(from_registry.images().len(), 1);
}

#[tokio::test]
async fn a_bundle_with_images_comes_back_whole() {
    let Some(real) = started() else { return };
    let dir = TempDir::new().unwrap();
    let (folder, _) = image_app(dir.path(), &real.address);
    let layout = dir.path().join("one");
    let bundle = build_bundle(&folder, &layout).unwrap();
    let name = format!("{}/shop/boxes", real.address);
    let pushed = opened(&name, Access::Write, None).push_bundle(&bundle, &layout, "latest").await.unwrap();
    // The bill of materials, and the list of the images' blobs.
    assert_eq!(pushed.beside, 2);
    let reader = opened(&name, Access::Anonymous, None);
    let brought = reader.pull_bundle(bundle.digest(), &dir.path().join("in"), BUNDLE_BYTES_MAX).await.unwrap();
    assert_eq!((brought.digest(), brought.images()), (bundle.digest(), bundle.images()));
}
