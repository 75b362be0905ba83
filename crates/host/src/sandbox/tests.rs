//! Programs in sandboxes: what they get, what they do not, and that none is started where a sandbox fails. The same suite runs under
//! each sandbox that works here.

mod landlock;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Child;

use super::{Confiner, Isolation, bubblewrap_arguments, confine, detect, spawn};
use crate::{
    AppProgram, HostError, IsolationChoice, measure,
    tests::{bundled, programs},
};

/// Said by a script before anything that counts: what starts it may speak too.
const BEGIN: &str = "begin\n";

/// This very program, in the part that becomes a confiner.
pub(super) fn confiner() -> Confiner {
    let words = ["--exact", "sandbox::tests::confines", "--ignored", "--nocapture"];
    Confiner { executable: std::env::current_exe().unwrap(), arguments: words.map(Into::into).to_vec() }
}

#[test]
#[ignore = "it is the process that the other tests start to confine a program"]
fn confines() {
    let code = confine().unwrap_or_else(|error| {
        eprintln!("{error}");
        1
    });
    std::process::exit(code.into());
}

/// The sandboxes that work here; what does not is told.
async fn sandboxes() -> Vec<Isolation> {
    let mut found = Vec::new();
    for choice in [IsolationChoice::Bubblewrap, IsolationChoice::Landlock] {
        match detect(choice, &confiner()).await {
            Ok(isolation) => found.push(isolation),
            Err(error) => eprintln!("SKIPPED under {choice:?}: {error}"),
        }
    }
    found
}

/// A sandbox with a program's surroundings.
pub(super) struct Ground {
    pub(super) dir: TempDir,
    isolation: Isolation,
}

impl Ground {
    pub(super) fn new(isolation: Isolation) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sockets")).unwrap();
        Self { dir, isolation }
    }

    pub(super) fn sockets(&self) -> PathBuf {
        self.dir.path().join("sockets")
    }

    /// A shell's script as a program that is no bundle.
    pub(super) fn script(&self, script: &str) -> AppProgram {
        let (_, app) = programs(self.dir.path());
        AppProgram { executable: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()], ..app }
    }

    pub(super) fn spawn(&self, app: &AppProgram) -> Child {
        spawn(app, self.isolation, &confiner(), &self.sockets()).unwrap()
    }

    /// Runs a program to its end: what it said since it began.
    pub(super) async fn said(&self, app: &AppProgram) -> String {
        let mut child = self.spawn(app);
        // Whoever waits closes it, and the program would end with that.
        let _input = child.stdin.take();
        let output = child.wait_with_output().await.unwrap();
        let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let (_, said) = said.split_once(BEGIN).unwrap_or_else(|| panic!("{:?}: {said}{errors}", self.isolation));
        eprintln!("{:?}: {errors}", self.isolation);
        said.to_owned()
    }

    /// Runs a program that is no bundle: what it wrote to `$OUT`.
    async fn wrote(&self, script: &str) -> String {
        let out = "OUT=${FREEHOLD_LOCAL_API%/local.sock}/seen\n";
        let mut child = self.spawn(&self.script(&format!("{out}{script}")));
        let _input = child.stdin.take();
        assert!(child.wait().await.unwrap().success(), "{:?}", self.isolation);
        std::fs::read_to_string(self.sockets().join("seen")).unwrap()
    }
}

#[test]
fn bubblewrap_gives_no_network_and_names_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (_, app) = programs(dir.path());
    let arguments = bubblewrap_arguments(&app, &dir.path().join("sockets"));
    let text: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
    assert_eq!(text[..4], ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
    assert!(!text.contains(&"--share-net"));
    let at = text.iter().position(|&part| part == "--").unwrap();
    assert_eq!(text[at + 1..], ["/app/program", "serve"]);
    // Nothing of this machine but the system, the program, the model and the sockets is bound.
    let bound: Vec<&str> = text.windows(2).filter(|pair| pair[0].contains("bind")).map(|pair| pair[1]).collect();
    let own = |path: &&&str| Path::new(path).starts_with(dir.path());
    assert_eq!(bound.iter().filter(own).count(), 3);
    assert!(bound.iter().filter(|path| !own(path)).all(|path| {
        // The kernel's files are bound so that they cannot be written.
        path.starts_with("/proc/")
            || ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/ld.so.conf"]
                .contains(path)
    }));
}

#[tokio::test]
async fn a_program_gets_its_model_its_sockets_and_no_other_variable() {
    for isolation in sandboxes().await {
        let seen = Ground::new(isolation)
            .wrote("cat $FREEHOLD_MODEL > $OUT; ls /sys/class/net >> $OUT 2>&1; env >> $OUT")
            .await;
        assert!(seen.starts_with("three") && seen.contains("FREEHOLD_TEST=1"), "{isolation:?}: {seen}");
        assert!(!seen.contains("HOME=") && !seen.contains("FREEHOLD_CONFINE"), "{isolation:?}: {seen}");
        // Released clients of dstack find the socket by themselves.
        let named =
            |name: &str| seen.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned));
        let local = named("FREEHOLD_LOCAL_API").unwrap();
        assert!(local.ends_with("/local.sock") && named("DSTACK_SIMULATOR_ENDPOINT").unwrap() == local, "{seen}");
    }
}

#[tokio::test]
async fn bubblewrap_shows_sockets_where_released_clients_look() {
    if detect(IsolationChoice::Bubblewrap, &confiner()).await.is_err() {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let script = "readlink /var/run/dstack.sock /run/tappd.sock /run/rofl-appd.sock > $OUT";
    let seen = Ground::new(Isolation::Bubblewrap).wrote(script).await;
    assert_eq!(seen, "/run/freehold/local.sock\n".repeat(3));
}

/// Also where the host is root, whose files the kernel's are.
#[tokio::test]
async fn a_sandboxed_program_has_no_rights_and_writes_no_file_of_the_kernel() {
    for isolation in sandboxes().await {
        // Opening is enough: nothing is written. Capabilities by capget(2): there may be no /proc.
        let script = r#"
for file in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger; do
  ( : >> $file ) 2> /dev/null && echo $file >> $OUT
done
python3 -c '
import ctypes
libc = ctypes.CDLL(None)
head, sets = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)()
print(libc.syscall(125, head, sets), *sets)
' >> $OUT"#;
        let seen = Ground::new(isolation).wrote(script).await;
        assert_eq!(seen, "0 0 0 0 0 0 0\n", "{isolation:?}");
    }
}

#[tokio::test]
async fn isolation_can_be_waived_and_is_never_weakened_unasked() {
    let broken = Confiner::of(Path::new("/bin/false"));
    assert_eq!(detect(IsolationChoice::None, &broken).await.unwrap(), Isolation::None);
    let error = detect(IsolationChoice::Landlock, &broken).await.unwrap_err();
    assert!(matches!(&error, HostError::NoIsolation { faults } if faults.len() == 1), "{error}");
    assert!(error.to_string().contains("landlock: ") && error.to_string().contains("--no-sandbox"), "{error}");
    let words = [Isolation::None, Isolation::Bubblewrap, Isolation::Landlock].map(Isolation::as_str);
    assert_eq!(words, ["none", "bubblewrap", "landlock"]);
    // What is not as under bubblewrap is said.
    assert!(Isolation::Bubblewrap.gaps().is_empty() && !Isolation::Landlock.gaps().is_empty());
}

#[tokio::test]
async fn a_program_is_not_started_where_its_confiner_fails() {
    let ground = Ground::new(Isolation::Landlock);
    let app = ground.script("touch ${FREEHOLD_LOCAL_API%/local.sock}/ran");
    let broken = Confiner::of(Path::new("/bin/false"));
    let mut child = spawn(&app, Isolation::Landlock, &broken, &ground.sockets()).unwrap();
    assert!(!child.wait().await.unwrap().success());
    assert!(!ground.sockets().join("ran").exists());
}

#[tokio::test]
async fn a_bundled_program_begins_with_what_brings_its_settings() {
    use std::os::unix::fs::PermissionsExt as _;
    for isolation in sandboxes().await.into_iter().chain([Isolation::None]) {
        let ground = Ground::new(isolation);
        let mut app = bundled(ground.dir.path(), "echo begin; echo $WORD $TOKEN; ulimit -n", "").unwrap();
        // It stands for the guest's file, which asks the guest; the limits are the program's, not its own.
        let launcher = ground.dir.path().join("launcher");
        let script = "#!/bin/sh\n[ \"$1 $2\" = \"launch --\" ] && shift 2 && TOKEN=brought exec \"$@\"\n";
        std::fs::write(&launcher, script).unwrap();
        std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
        app.bundle.as_mut().unwrap().launcher = Some(launcher);
        assert_eq!(ground.said(&app).await, "said brought\n17\n", "{isolation:?}");
    }
}

#[tokio::test]
async fn a_bundled_program_sees_its_files_its_words_and_its_limits_alone() {
    for isolation in sandboxes().await {
        let ground = Ground::new(isolation);
        // What counts the network's devices finds the loopback alone, or nothing that it may read.
        let script = "echo begin; pwd; echo $WORD; ulimit -n; echo x > $PWD/new || echo refused; ls /home /root; \
                      ls /sys/class/net; grep -c : /proc/net/dev || echo 1; [ -d $HOME ] && echo home; \
                      echo x > $HOME/new && cat $HOME/new";
        let app = bundled(ground.dir.path(), script, "").unwrap();
        let said = ground.said(&app).await;
        let lines: Vec<&str> = said.lines().collect();
        let folder = match isolation {
            Isolation::Bubblewrap => "/app",
            _ => app.bundle.as_ref().unwrap().files.to_str().unwrap(),
        };
        assert_eq!(lines, [folder, "said", "17", "refused", "1", "home", "x"], "{isolation:?}");
    }
}

#[tokio::test]
async fn a_bundled_program_reads_the_models_that_its_manifest_names() {
    for isolation in sandboxes().await {
        let ground = Ground::new(isolation);
        let (dir, models) = (ground.dir.path(), ground.dir.path().join("models"));
        std::fs::create_dir(&models).unwrap();
        std::fs::write(models.join("secret"), "nobody's").unwrap();
        // A folder of models may name files that lie elsewhere.
        std::fs::write(dir.join("blob"), "weights\n").unwrap();
        std::os::unix::fs::symlink(dir.join("blob"), models.join("m.gguf")).unwrap();
        let digest = freehold_crypto::sha256(b"weights\n");
        let additions = format!("  models: [{{name: m.gguf, sha256: {digest}}}]\n");
        let script = "echo begin; cat $FREEHOLD_MODELS/m.gguf $FREEHOLD_MODEL; cat $FREEHOLD_MODELS/secret; \
                      echo x > $FREEHOLD_MODEL || echo refused";
        let app = bundled(dir, script, &additions).unwrap();
        assert_eq!(measure(&programs(dir).0, &app.clone().into()).unwrap().app.model, Some(digest));
        // The other file of the folder is not for it.
        assert_eq!(ground.said(&app).await, "weights\nweights\nrefused\n", "{isolation:?}");
    }
}
