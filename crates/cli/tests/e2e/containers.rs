//! An app of containers, from a compose file and an archive of `docker save` to an answer: two services, the one waiting for the other's
//! health, a key of the app over ROFL's socket, a volume that outlives them, and a changed image that is refused.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use freehold_host::{App, ContainerBackend, HostError, IsolationChoice, bundled_app};

use serde_json::json;

use crate::support::{BINARY, Running, app_answer, holding, passes, said, told, turn, until};

pub(crate) const COMPOSE: &str = "\
services:
  web:
    image: test@sha256:IMAGE
    command: [serve, '80', 'store:6379']
    user: web
    read_only: true
    ports: ['8081:80']
    volumes: ['/run/rofl-appd.sock:/run/rofl-appd.sock']
    depends_on: {store: {condition: service_healthy}}
    restart: always
  store:
    image: test@sha256:IMAGE
    command: [store, '6379']
    volumes: ['data:/data']
    healthcheck: {test: [CMD, /bin/program, check, '127.0.0.1:6379'], interval: 1s}
    restart: always
volumes:
  data:
";

/// Longest trial of a container.
const TRIAL_WAIT: Duration = Duration::from_secs(10);

/// Whether gVisor's runtime is here; where not, says so loudly.
pub(crate) fn gvisor_works() -> bool {
    let works = Command::new("runsc").arg("--version").output().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!(
            "SKIPPED: needs `runsc` of gVisor (Debian's backports: `apt-get install runsc`), which is missing here"
        );
    }
    works
}

/// Whether containers can run here, tried once; where not, says so loudly.
pub(crate) fn containers_work() -> bool {
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(trial()).err().map(|error| error.to_string())
    });
    if let Some(fault) = fault {
        eprintln!(
            "SKIPPED: containers do not run here (they need root and `runc`, Debian: `apt-get install runc`): {fault}"
        );
    }
    fault.is_none()
}

/// A container that ends by itself, on the backend that apps have.
async fn trial() -> Result<(), HostError> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("app");
    fs::create_dir_all(folder.join("images")).unwrap();
    let (archive, id) = saved(dir.path(), "trial");
    fs::write(folder.join("images/trial.tar"), archive).unwrap();
    let manifest = "name: trial\nversion: 0.1.0\ntee: tdx\nkind: container\nresources: {memory: 64, cpus: 1}\n";
    fs::write(folder.join("rofl.yaml"), manifest).unwrap();
    let compose = format!("services: {{a: {{image: 'test@sha256:{id}', command: [exit, '0']}}}}\n");
    fs::write(folder.join("compose.yaml"), compose).unwrap();
    let bundle = freehold_bundle::build_bundle(&folder, &dir.path().join("bundle"))?;
    let choice = (IsolationChoice::Required, ContainerBackend::default());
    let App::Containers(app) = bundled_app(&bundle, dir.path(), choice.0, &choice.1, None)? else {
        unreachable!("its kind is container");
    };
    app.try_out(TRIAL_WAIT).await
}

/// A containerd of a test's own, until it is dropped.
pub(crate) struct OwnContainerd {
    child: std::process::Child,
    dir: tempfile::TempDir,
}

impl OwnContainerd {
    /// Starts one; where it is missing, says so loudly.
    pub(crate) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (root, state, socket, other) = (at("root"), at("state"), at("c.sock"), at("t.sock"));
        let text = format!(
            "version = 2\nroot = '{root}'\nstate = '{state}'\ndisabled_plugins = ['io.containerd.grpc.v1.cri', \
             'io.containerd.internal.v1.opt']\n[grpc]\naddress = '{socket}'\n[ttrpc]\naddress = '{other}'\n"
        );
        fs::write(dir.path().join("config.toml"), text).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(dir.path().join("config.toml")).stdin(Stdio::null());
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("SKIPPED: needs containerd (Debian: `apt-get install containerd`), which is missing here");
            return None;
        };
        let containerd = Self { child, dir };
        until("containerd answers", || {
            let words = ["--address", &containerd.socket(), "version"];
            Command::new("ctr").args(words).output().is_ok_and(|output| output.status.success())
        });
        Some(containerd)
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.path().join("c.sock").display().to_string()
    }
}

impl Drop for OwnContainerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SHA-256 by the system's own program.
pub(crate) fn sha256(dir: &Path, bytes: &[u8]) -> String {
    let path = dir.join("hashed");
    fs::write(&path, bytes).unwrap();
    let output = Command::new("sha256sum").arg(&path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// An archive as `docker save` writes it, of an image that holds one static program; and the image's id.
pub(crate) fn saved(dir: &Path, note: &str) -> (Vec<u8>, String) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/tests/programs/container.rs");
    let program = dir.join("program");
    if !program.exists() {
        let target = ["-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"];
        passes(
            Command::new("rustc").args(["--edition", "2024", "-O"]).args(target).arg(source).arg("-o").arg(&program),
        );
    }
    let archive = |members: &[(&str, u32, &[u8])]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, mode, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let users = b"root:x:0:0::/:/\nweb:x:33:34::/:/\n";
    let program = fs::read(program).unwrap();
    let layer =
        archive(&[("bin/program", 0o755, &program), ("etc/passwd", 0o644, users), ("note", 0o644, note.as_bytes())]);
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/bin/program"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(dir, &layer))]}})
    .to_string();
    let id = sha256(dir, config.as_bytes());
    let list = json!([{"Config": format!("{id}.json"), "RepoTags": ["test:1"], "Layers": ["0/layer.tar"]}]).to_string();
    let members: [(&str, u32, &[u8]); 3] = [
        ("0/layer.tar", 0o644, &layer),
        (&format!("{id}.json"), 0o644, config.as_bytes()),
        ("manifest.json", 0o644, list.as_bytes()),
    ];
    (archive(&members), id)
}

#[test]
fn a_compose_file_becomes_an_instance_with_keys_and_a_changed_image_is_refused() {
    if !containers_work() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let (archive, id) = saved(dir.path(), "one");
    fs::write(dir.path().join("compose.yaml"), COMPOSE.replace("IMAGE", &id)).unwrap();
    told(dir.path(), &["app", "init", "boxes", "--kind", "container", "--from", "compose.yaml"]).unwrap();
    let folder = dir.path().join("boxes");
    fs::create_dir(folder.join("images")).unwrap();
    fs::write(folder.join("images/test.tar"), archive).unwrap();
    let built = told(dir.path(), &["app", "build", "boxes"]).unwrap();
    assert_eq!((&built["images"][0]["digest"], &built["backends"][0]["executor"]), (&json!(id), &json!("container")));
    told(dir.path(), &["app", "build", "boxes", "--verify"]).unwrap();
    let folder = folder.to_str().unwrap();
    let arguments = ["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let begun = Instant::now();
    let running = Running::start(&arguments);
    let first = app_answer(&running);
    eprintln!("from `app run` to an answer of containers: {:?}", begun.elapsed());
    assert_eq!((&running.ready["digest"], &first["store"]), (&built["digest"], &json!("1")), "{first}");
    assert_eq!(first["key"]["key"].as_str().map(str::len), Some(64), "{first}");
    running.interrupt();
    // The same containers again: the same key and the same volume.
    let mut kept = arguments.to_vec();
    kept.push("--keep-policy");
    let again = Running::start(&kept);
    let second = app_answer(&again);
    assert_eq!((&second["key"], &second["store"]), (&first["key"], &json!("2")));
    // A host that dies leaves containers, which its successor ends.
    again.kill();
    let third = Running::start(&kept);
    let answer = app_answer(&third);
    assert_eq!((&answer["key"], &answer["store"]), (&first["key"], &json!("3")));
    third.interrupt();
    // Another image is another measurement, which the app's policy does not name.
    let (archive, id) = saved(dir.path(), "two");
    fs::write(Path::new(folder).join("images/test.tar"), archive).unwrap();
    fs::write(Path::new(folder).join("compose.yaml"), COMPOSE.replace("IMAGE", &id)).unwrap();
    let refused = Running::try_start(&kept).err().expect("a changed image is not admitted");
    assert!(said(&refused).contains("the chain refused the registration"), "{}", said(&refused));
    up.interrupt();
}

#[test]
fn settings_reach_the_services_that_name_them_and_no_other() {
    if !containers_work() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let (archive, id) = saved(dir.path(), "one");
    let named = "    environment: {TOKEN: 'token $$ ${TOKEN}', GREETING: '${GREETING:-hello}', LD_PRELOAD: /none}\n";
    let compose = COMPOSE.replace("IMAGE", &id).replace("    user: web\n", &format!("{named}    user: web\n"));
    fs::write(dir.path().join("compose.yaml"), compose).unwrap();
    told(dir.path(), &["app", "init", "boxes", "--kind", "container", "--from", "compose.yaml"]).unwrap();
    let folder = dir.path().join("boxes");
    fs::create_dir(folder.join("images")).unwrap();
    fs::write(folder.join("images/test.tar"), archive).unwrap();
    let folder = folder.to_str().unwrap();
    let arguments = ["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let running = Running::start(&arguments);
    // Only the owner can say what the token is: until then the service waits.
    let file = dir.path().join("canary");
    fs::write(&file, "canary-7c01d3 'of \"two\"\nlines").unwrap();
    let place = ["--folder", folder, "--data-dir", data];
    let words = ["app", "secret", "set", "TOKEN", "--from-file", file.to_str().unwrap()];
    told(dir.path(), &[&words[..], &place].concat()).unwrap();
    let answer = app_answer(&running);
    assert_eq!(answer["token"], "token $ canary-7c01d3 'of \"two\"\nlines", "{answer}");
    assert_eq!((&answer["greeting"], &answer["store"]), (&json!("hello"), &json!("1")), "{answer}");
    told(dir.path(), &[&["app", "env", "set", "GREETING", "good day"][..], &place].concat()).unwrap();
    // What runs keeps its environment; what starts anew has the newest.
    running.interrupt();
    let again = Running::start(&arguments);
    assert_eq!(app_answer(&again)["greeting"], "good day");
    // No file of the host's, its configuration of containers included, holds the secret while they run.
    fs::remove_file(&file).unwrap();
    assert_eq!(holding(dir.path(), b"canary-7c01d3"), Vec::<std::path::PathBuf>::new());
    assert!(!holding(dir.path(), b"/run/freehold-launch").is_empty());
    again.interrupt();
    up.interrupt();
}

#[test]
fn without_the_runtime_it_is_said_how_to_get_it() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let (archive, id) = saved(dir.path(), "one");
    fs::write(dir.path().join("compose.yaml"), COMPOSE.replace("IMAGE", &id)).unwrap();
    told(dir.path(), &["app", "init", "boxes", "--kind", "container", "--from", "compose.yaml"]).unwrap();
    fs::create_dir(dir.path().join("boxes/images")).unwrap();
    fs::write(dir.path().join("boxes/images/test.tar"), archive).unwrap();
    let output = Command::new(BINARY)
        .args(["app", "run", "boxes", "--data-dir", data, "--once", "--json"])
        .current_dir(dir.path())
        .env("PATH", dir.path())
        .output()
        .unwrap();
    let text = said(&output);
    // Who is not root is told that first.
    assert!(!output.status.success() && (text.contains("apt-get install runc") || text.contains("as root")), "{text}");
    up.interrupt();
}

#[test]
fn an_example_is_made_that_tells_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    told(dir.path(), &["app", "init", "boxes", "--kind", "container"]).unwrap();
    // It can be built, and says that it cannot be run before its images are there.
    let output = Command::new(BINARY).args(["app", "build", "boxes"]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success() && said(&output).contains("holds no images"), "{}", said(&output));
    fs::create_dir(dir.path().join("boxes/images")).unwrap();
    let refused = told(dir.path(), &["app", "build", "boxes"]).unwrap_err();
    assert!(refused.contains("is not in the folder `images`"), "{refused}");
}
