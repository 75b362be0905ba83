//! What containers stand on: their images unpacked once, a writable root and storage of bounded sizes, their namespaces' holder;
//! and its removal, by names that a successor finds again after a crash.
//!
//! As root, the users of an app's containers are 65,536 numbers that only this app has, and every mount lies in one folder named after
//! the first of them. As another user, all of a container's users are that user, nothing is mounted, and nothing is bounded:
//! only who waives isolation runs so.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use freehold_bundle::{Bundle, Ownership, StorageKind};
use freehold_primitives::Digest;
use rustix::{
    fs::{Gid, Mode, OFlags, Uid, fchown, mkdirat, open, openat},
    io::Errno,
    process::{getegid, geteuid},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    backend::{ContainerBackend, Engine},
    config::{self, Footing},
    containers::Bounds,
    error::ContainerError,
    launcher::Launcher,
    mounts,
    names::MODELS_DIR,
    plan::{NetworkKind, Plan, Planned, Sockets},
    runtime::Runtime,
    system,
    users::{self, User},
};

/// First number of users that is given to containers, and how many apps there are numbers for.
const USERS_FIRST: u32 = 0x4000_0000;
/// First number of the users of containers in a VM: what images are unpacked for on its disk.
pub const VM_USERS_FIRST: u32 = USERS_FIRST;
const RANGES: u32 = 0x3fff;
/// Users of an app's containers.
const USERS: u32 = 0x1_0000;
/// Files of a container's own root, at most.
const ROOT_FILES: u64 = 65_536;
/// Processes of all of an app's containers.
const APP_PROCESSES: u64 = 4_096;
/// Id of the container that holds the namespaces.
const HOLDER: &str = "_holder";
/// Folder of what reaches into containers from elsewhere, for their users alone.
const WITHIN: &str = "within";
/// What the containers run on, for a successor.
const ENGINE_FILE: &str = "engine";

/// Which of the machine's users a container's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// 0 and on are these and on.
    Range(u32),
    /// 0 is this one, and there is no other.
    One { uid: u32, gid: u32 },
}

impl Mapping {
    pub(crate) fn users(self) -> Value {
        self.pair(|uid, _| uid)
    }

    pub(crate) fn groups(self) -> Value {
        self.pair(|_, gid| gid)
    }

    fn pair(self, which: impl Fn(u32, u32) -> u32) -> Value {
        match self {
            Self::Range(first) => json!({ "containerID": 0, "hostID": first, "size": USERS }),
            Self::One { uid, gid } => json!({ "containerID": 0, "hostID": which(uid, gid), "size": 1 }),
        }
    }
}

/// Where everything of an app's containers is.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Images, storage and the runtime's books.
    folder: PathBuf,
    /// Mount points.
    run: PathBuf,
    mapping: Mapping,
    engine: Engine,
    source: Source,
}

/// Where images and storage come from.
#[derive(Debug, Clone)]
enum Source {
    /// A bundle, whose images are unpacked below the app's folder; storage is a file system in a file there.
    Bundle {
        bundle: Arc<Bundle>,
        /// Model files by their names, wherever they lie.
        models: BTreeMap<String, PathBuf>,
    },
    /// A VM's disk, on which images lie unpacked, for the one range of users that there is; storage is mounted already.
    Disk {
        /// Folder of the images, by digest.
        images: PathBuf,
        /// Where storage is.
        storage: PathBuf,
        /// Folder of the model files.
        models: PathBuf,
    },
}

/// What the ports' relay has to know of the app's network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// A process in it, if it is not the machine's.
    pub(crate) holder: Option<u32>,
}

/// What reaches into the containers.
pub(crate) struct Inside<'a> {
    /// Folder with the guest's sockets.
    pub(crate) app_dir: &'a Path,
    /// What starts programs with the owner's settings, if a service asks for them.
    pub(crate) launcher: Option<&'a Launcher>,
}

impl Ground {
    pub(crate) fn new(folder: PathBuf, bundle: Arc<Bundle>, models: BTreeMap<String, PathBuf>) -> Self {
        let source = Source::Bundle { bundle, models };
        if !geteuid().is_root() {
            let mapping = Mapping::One { uid: geteuid().as_raw(), gid: getegid().as_raw() };
            return Self { run: folder.join("run"), folder, mapping, engine: Engine::runc(), source };
        }
        let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        let number = u32::from_be_bytes(hash[..4].try_into().expect("four bytes of thirty-two"));
        let first = USERS_FIRST + (number % RANGES) * USERS;
        let run = PathBuf::from(format!("/run/freehold-{first:08x}"));
        Self { run, folder, mapping: Mapping::Range(first), engine: Engine::runc(), source }
    }

    /// In a VM there is one app, and its images were unpacked for the first range of users.
    pub(crate) fn in_vm(run: PathBuf, images: PathBuf, storage: PathBuf, models: PathBuf) -> Self {
        let source = Source::Disk { images, storage, models };
        let (folder, mapping) = (run.join("books"), Mapping::Range(VM_USERS_FIRST));
        Self {
            run: run.join(format!("freehold-{VM_USERS_FIRST:08x}")),
            folder,
            mapping,
            engine: Engine::runc(),
            source,
        }
    }

    pub(crate) fn runs_on(&mut self, engine: Engine) {
        self.engine = engine;
    }

    /// Folder of everything that is mounted.
    pub(crate) fn run_folder(&self) -> &Path {
        &self.run
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether this user can give what the plan needs.
    pub(crate) fn allows(&self, plan: &Plan, bounds: Bounds, backend: &ContainerBackend) -> Result<(), ContainerError> {
        if self.is_root() {
            return Ok(());
        }
        if *backend != ContainerBackend::default() {
            return Err(ContainerError::cannot(
                "another runtime than `runc` needs root here",
                "run it as root, or with runc",
            ));
        }
        if bounds != Bounds::Waived {
            let hint = "run it as root, or without any bounds with --no-sandbox";
            return Err(ContainerError::cannot(
                "only root can bound the memory, processes and disk of containers",
                hint,
            ));
        }
        if plan.ports.is_empty() {
            return Ok(());
        }
        Err(ContainerError::cannot(
            "only root can publish ports of containers",
            "run it as root, or serve on FREEHOLD_APP_SOCKET",
        ))
    }

    const fn is_root(&self) -> bool {
        matches!(self.mapping, Mapping::Range(_))
    }

    /// What runs the services.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime_of(&self.engine)
    }

    fn runtime_of(&self, engine: &Engine) -> Runtime {
        let books = if *engine == engine.holder() { "state" } else { "state-other" };
        let space = self.run.file_name().and_then(|name| name.to_str()).unwrap_or("freehold");
        Runtime::new(engine.clone(), self.folder.join(books), space)
    }

    /// What an earlier run of this app ran on, if it left word.
    fn left(&self) -> Option<Engine> {
        Engine::from_line(&fs::read_to_string(self.folder.join(ENGINE_FILE)).ok()?)
    }

    /// The folder with the runtime's configuration of a service.
    pub(crate) fn bundle(&self, service: &str) -> PathBuf {
        self.folder.join("services").join(service)
    }

    /// Where a container makes the socket of the app's API.
    pub(crate) fn app_dir(&self) -> PathBuf {
        self.run.join("app")
    }

    fn group(&self) -> Option<String> {
        let name = self.run.file_name()?.to_str()?;
        self.is_root().then(|| format!("/{name}"))
    }

    /// Ends every container of this app and unmounts what they stood on. Storage and images stay.
    pub(crate) fn clear(&self) {
        let engine = self.left().unwrap_or_else(|| self.engine.clone());
        let (services, holding) = (self.runtime_of(&engine), self.runtime_of(&engine.holder()));
        // The holder last: the others are in its namespaces.
        let ids = services.containers();
        ids.iter().filter(|id| *id != HOLDER).for_each(|id| services.delete(id));
        holding.containers().iter().for_each(|id| holding.delete(id));
        if self.is_root() {
            if let Err(error) = system::unmount_below(&self.run) {
                tracing::warn!(%error, "a mount of containers stays");
                return;
            }
            self.group().iter().for_each(|group| system::remove_group(group));
        }
        let _ = fs::remove_dir_all(&self.run);
        let _ = fs::remove_dir_all(self.folder.join("services"));
        let _ = fs::remove_file(self.folder.join(ENGINE_FILE));
    }

    /// Prepares everything but the containers themselves.
    pub(crate) fn prepare(&self, plan: &Plan, inside: &Inside<'_>) -> Result<Network, ContainerError> {
        self.claim()?;
        self.clear();
        let made = self.lay(plan, inside);
        if made.is_err() {
            self.clear();
        }
        made
    }

    /// Two folders could be given the same numbers: the second is refused.
    fn claim(&self) -> Result<(), ContainerError> {
        let owner = self.run.join("owner");
        match fs::read(&owner) {
            Ok(found) if found != self.folder.as_os_str().as_encoded_bytes() => {
                Err(ContainerError::cannot("another app has the same range of users", "run it from another folder"))
            }
            _ => Ok(()),
        }
    }

    fn lay(&self, plan: &Plan, inside: &Inside<'_>) -> Result<Network, ContainerError> {
        let failed = |what: &'static str| ContainerError::system(what, &self.folder);
        self.make_folders().map_err(failed("the folders of containers cannot be made"))?;
        self.unpack(plan)?;
        self.roots(plan)?;
        let found = self.users(plan)?;
        self.storage(plan, &found).map_err(failed("the storage of containers cannot be opened"))?;
        if self.is_root() {
            system::mount_memory(&self.app_dir(), 64 * 1024, 64, "1777").map_err(failed("no place for a socket"))?;
            // Nobody else enters the folder that they are in.
            for socket in plan.sockets(inside.app_dir).into_values().flat_map(Sockets::all) {
                fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))
                    .map_err(ContainerError::system("the local API cannot be opened to containers", &socket))?;
            }
        } else {
            fs::create_dir_all(self.app_dir()).map_err(failed("no place for a socket"))?;
        }
        let holder = self.hold(plan).map_err(failed("the namespaces of containers cannot be made"))?;
        self.configure(plan, &found, holder, inside).map_err(failed("the containers cannot be configured"))?;
        Ok(Network { holder: plan.network.is_own().then_some(holder) })
    }

    fn make_folders(&self) -> io::Result<()> {
        let books = ["state", "state-other", "images"].map(|name| self.folder.join(name));
        for folder in books.iter().chain([&self.run]) {
            fs::create_dir_all(folder)?;
        }
        fs::write(self.folder.join(ENGINE_FILE), self.engine.to_line())?;
        // A container's users must be able to pass, and no more.
        fs::set_permissions(&self.run, fs::Permissions::from_mode(0o711))?;
        fs::write(self.run.join("owner"), self.folder.as_os_str().as_encoded_bytes())
    }

    /// Folder of the unpacked images.
    fn images(&self) -> PathBuf {
        match &self.source {
            Source::Bundle { .. } => self.folder.join("images"),
            Source::Disk { images, .. } => images.clone(),
        }
    }

    fn image(&self, digest: &Digest) -> PathBuf {
        self.images().join(digest.to_string())
    }

    fn root(&self, service: &str) -> PathBuf {
        self.run.join("services").join(service).join("root")
    }

    /// Unpacks the images that are not there yet, and removes those of earlier builds. One that is there is whole.
    fn unpack(&self, plan: &Plan) -> Result<(), ContainerError> {
        let Source::Bundle { bundle, .. } = &self.source else { return Ok(()) };
        let folder = self.images();
        let failed = || ContainerError::system("an image cannot be unpacked", &folder);
        let Mapping::Range(first) = self.mapping else { return Ok(()) };
        let wanted: Vec<String> = plan.services.values().map(|planned| planned.image.to_string()).collect();
        for entry in fs::read_dir(&folder).map_err(failed())?.flatten() {
            if !wanted.iter().any(|wanted| entry.file_name() == wanted.as_str()) {
                fs::remove_dir_all(entry.path()).map_err(failed())?;
            }
        }
        for image in bundle.images().iter().filter(|image| wanted.contains(&image.digest.to_string())) {
            let place = self.image(&image.digest);
            if place.exists() {
                continue;
            }
            let fresh = tempfile::Builder::new().prefix(".unpack-").tempdir_in(&folder).map_err(failed())?;
            bundle.unpack_image(image, fresh.path(), Ownership::Mapped(first))?;
            fs::rename(fresh.keep(), &place).map_err(failed())?;
        }
        Ok(())
    }

    /// A root for each container: the image below, what it writes in memory above. Without root, the image unpacked anew.
    fn roots(&self, plan: &Plan) -> Result<(), ContainerError> {
        let failed = || ContainerError::system("the root of a container cannot be made", &self.run);
        for (name, planned) in &plan.services {
            let root = self.root(name);
            fs::create_dir_all(&root).map_err(failed())?;
            if self.is_root() {
                self.overlay(name, planned, &root).map_err(failed())?;
            } else if let Source::Bundle { bundle, .. } = &self.source
                && let Some(image) = bundle.images().iter().find(|image| image.digest == planned.image)
            {
                bundle.unpack_image(image, &root, Ownership::Own)?;
            }
        }
        Ok(())
    }

    fn overlay(&self, name: &str, planned: &Planned, root: &Path) -> io::Result<()> {
        let memory = self.run.join("services").join(name).join("written");
        system::mount_memory(&memory, planned.limits.scratch_bytes(), ROOT_FILES, "755")?;
        let (upper, work) = (memory.join("upper"), memory.join("work"));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        let top = fs::symlink_metadata(self.image(&planned.image))?;
        fs::set_permissions(&upper, top.permissions())?;
        self.own(&upper, 0)?;
        system::mount_overlay(&self.images(), &planned.image.to_string(), &upper, &work, root)
    }

    fn own(&self, path: &Path, uid: u32) -> io::Result<()> {
        match self.mapping {
            Mapping::Range(first) => std::os::unix::fs::chown(path, Some(first + uid), Some(first)),
            Mapping::One { .. } => Ok(()),
        }
    }

    fn users(&self, plan: &Plan) -> Result<Vec<User>, ContainerError> {
        let find = |(name, planned): (&String, &Planned)| {
            let root = self.root(name);
            let found = users::find(&root, &planned.user)
                .map_err(ContainerError::system("the users of an image cannot be read", &root))?;
            let what = || format!("service `{name}` runs as the user {:?}, whom its image does not know", planned.user);
            found.ok_or_else(|| ContainerError::cannot(&what(), "name another, or a number below 65,536"))
        };
        plan.services.iter().map(find).collect()
    }

    /// Opens the app's storage and makes the folders that are mounted, each its first user's.
    fn storage(&self, plan: &Plan, found: &[User]) -> io::Result<()> {
        let (at, (kind, bytes)) = (self.storage_dir(), plan.storage);
        let disk = |name: &str| self.folder.join(name);
        match kind {
            StorageKind::None => return Ok(()),
            _ if matches!(self.source, Source::Disk { .. }) => {}
            StorageKind::DiskPersistent if self.is_root() => system::mount_disk(&disk("storage.ext4"), bytes, &at)?,
            StorageKind::DiskEphemeral if self.is_root() => {
                let _ = fs::remove_file(disk("ephemeral.ext4"));
                system::mount_disk(&disk("ephemeral.ext4"), bytes, &at)?;
            }
            StorageKind::Ram if self.is_root() => system::mount_memory(&at, bytes, ROOT_FILES, "755")?,
            StorageKind::DiskPersistent => fs::create_dir_all(&at)?,
            _ => {
                let _ = fs::remove_dir_all(&at);
                fs::create_dir_all(&at)?;
            }
        }
        for (planned, user) in plan.services.values().zip(found) {
            for source in planned.mounts.iter().filter_map(|mount| mount.source.as_deref()) {
                self.make_below(&at, source, user)?;
            }
        }
        Ok(())
    }

    /// Where a model file lies.
    fn model(&self, name: &str) -> io::Result<PathBuf> {
        match &self.source {
            Source::Disk { models, .. } => Ok(models.join(name)),
            Source::Bundle { models, .. } => models.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    fn storage_dir(&self) -> PathBuf {
        match &self.source {
            Source::Disk { storage, .. } => storage.clone(),
            Source::Bundle { .. } if self.is_root() => self.run.join("storage"),
            Source::Bundle { .. } => self.folder.join("storage"),
        }
    }

    /// Makes a folder of the storage; what an app of before left there as a link is not followed.
    fn make_below(&self, top: &Path, path: &str, user: &User) -> io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = open(top, flags, Mode::empty())?;
        for part in path.split('/') {
            let is_new = match mkdirat(&folder, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            folder = openat(&folder, part, flags, Mode::empty())?;
            if let (true, Mapping::Range(first)) = (is_new, self.mapping) {
                let (uid, gid) = (Uid::from_raw(first + user.uid), Gid::from_raw(first + user.gid));
                fchown(folder.as_fd(), Some(uid), Some(gid))?;
            }
        }
        Ok(())
    }

    /// Makes the namespaces that the containers share: a container whose program, an empty file, is never started.
    fn hold(&self, plan: &Plan) -> io::Result<u32> {
        let (root, bundle) = (self.run.join(HOLDER), self.bundle(".holder"));
        fs::create_dir_all(&root)?;
        // The runtime makes folders and devices in it, as the root of the namespace.
        self.own(&root, 0)?;
        fs::create_dir_all(&bundle)?;
        let program = root.join("holder");
        fs::write(&program, b"")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o555))?;
        let group = self.group().map(|group| format!("{group}/{HOLDER}"));
        let has_network = plan.network.is_own();
        let config = config::of_holder(&root, self.mapping, has_network, group.as_deref());
        put(&bundle.join("config.json"), &config)?;
        let holder = self.runtime_of(&self.engine.holder()).create(HOLDER, &bundle)?;
        if let Some(group) = self.group() {
            system::bound_group(&group, plan.memory_bytes, APP_PROCESSES)?;
        }
        Ok(holder)
    }

    /// Whether the runtime opens what it mounts as the app's users, who may not pass through the folders of others.
    fn has_within(&self) -> bool {
        self.is_root() && !self.engine.joins_users()
    }

    /// A file or folder of this machine where the runtime can open it.
    fn within(&self, source: &Path, name: &str) -> io::Result<PathBuf> {
        if !self.has_within() {
            return Ok(source.to_owned());
        }
        let place = self.run.join(WITHIN).join(name);
        if source.is_dir() {
            fs::create_dir(&place)?;
        } else {
            fs::File::create_new(&place)?;
        }
        mounts::bind(source, &place)?;
        Ok(place)
    }

    fn launcher_within(&self, launcher: &Launcher) -> io::Result<Launcher> {
        let mut launcher = launcher.clone();
        for (index, (file, _)) in launcher.files.iter_mut().enumerate() {
            *file = self.within(file, &format!("launcher-{index}"))?;
        }
        Ok(launcher)
    }

    fn configure(&self, plan: &Plan, found: &[User], holder: u32, inside: &Inside<'_>) -> io::Result<()> {
        let shared = self.folder.join("services");
        let hosts = shared.join(".hosts");
        let names: Vec<&str> = plan.services.keys().map(String::as_str).collect();
        fs::write(&hosts, format!("127.0.0.1 localhost {}\n::1 localhost\n", names.join(" ")))?;
        if self.has_within() {
            let within = self.run.join(WITHIN);
            fs::create_dir(&within)?;
            fs::set_permissions(&within, fs::Permissions::from_mode(0o700))?;
            self.own(&within, 0)?;
        }
        let mut files = vec![(self.within(&hosts, "hosts")?, "/etc/hosts".to_owned())];
        if plan.network == NetworkKind::Open
            && let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        {
            files.push((resolver, "/etc/resolv.conf".to_owned()));
        }
        for (index, name) in plan.models.iter().enumerate() {
            files.push((self.within(&self.model(name)?, &format!("model-{index}"))?, format!("{MODELS_DIR}/{name}")));
        }
        let launcher = inside.launcher.map(|launcher| self.launcher_within(launcher)).transpose()?;
        // The folder as a whole: the guest may make its sockets anew.
        let folder = self.within(inside.app_dir, "sockets")?;
        let mut sockets = plan.sockets(&folder);
        for ((name, planned), user) in plan.services.iter().zip(found) {
            let Sockets { local_api, environment } = sockets.remove(name.as_str()).unwrap_or_default();
            let footing = Footing {
                name,
                root: self.root(name),
                mapping: self.mapping,
                holder,
                joins_users: self.engine.joins_users(),
                has_network: plan.network.is_own(),
                has_gate: plan.network == NetworkKind::Gated,
                cgroup: self.group().map(|group| format!("{group}/{name}")),
                files: files.clone(),
                local_api: local_api.unwrap_or_default(),
                launch: launcher.as_ref().zip(environment),
                app_dir: plan.ports.is_empty().then(|| self.app_dir()),
                storage: self.storage_dir(),
            };
            let bundle = self.bundle(name);
            fs::create_dir_all(&bundle)?;
            put(&bundle.join("config.json"), &config::of_service(planned, user, &footing))?;
        }
        Ok(())
    }
}

fn put(path: &Path, config: &Value) -> io::Result<()> {
    fs::File::create(path)?.write_all(config.to_string().as_bytes())
}
