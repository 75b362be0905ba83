//! Arguments of `app`.

mod deploy;
mod upgrade;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use freehold_host::{OciRuntime, Reference};
use freehold_primitives::{AppId, NetworkKey, TrustDomain};
use freehold_rpc::Endpoint;

pub(crate) use deploy::{AppDeployArgs, AppListArgs, AppLogsArgs, DeployedArgs};
pub(crate) use upgrade::{
    AppPolicyApproveArgs, AppPolicyAuditArgs, AppPolicyCheckArgs, AppPolicyCommand, AppPolicyEditArgs, AppRollbackArgs,
    AppUpgradeArgs, DemandArgs, VerdictArg,
};

use super::{EnvCommand, ImagePartArgs, LimitsCommand, NetworkArgs, SecretCommand, ShapeArgs, TeeArg, TeeVmArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make the folder of a new app: a manifest, a running example, and a README.
    Init(AppInitArgs),
    /// Build an app into a bundle, and print the measurements that a policy names.
    Build(AppBuildArgs),
    /// Run an app on this machine against a network that is up, under the emulator or in a TEE, and again at each change.
    Run(Box<AppRunArgs>),
    /// Keep the state disk of an app's VM in a file, sealed as it is.
    Snapshot(AppSnapshotArgs),
    /// Bring the state disk of an app's VM back, on this machine or another.
    Restore(AppRestoreArgs),
    /// Secrets of an app: sealed here, opened by its attested instances alone.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Values that an app's instances get and everybody may read.
    #[command(subcommand)]
    Env(EnvCommand),
    /// What instances may spend when their app asks for transactions.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Rent a machine for an app and run it there, or run a new build where it is rented already.
    Deploy(Box<AppDeployArgs>),
    /// What the app admits and promises about its upgrades: shown, changed, checked, approved, audited.
    #[command(subcommand)]
    Policy(Box<AppPolicyCommand>),
    /// Admit a new build beside the old one, with the notice that the app promises.
    Upgrade(Box<AppUpgradeArgs>),
    /// Bring back what an older version of the app admitted.
    Rollback(Box<AppRollbackArgs>),
    /// Deployed apps, how they stand at their providers, and until when they are paid.
    List(AppListArgs),
    /// Show what a deployed app says: sealed to its owner, opened here.
    Logs(AppLogsArgs),
    /// Stop a deployed app and start it.
    Restart(DeployedArgs),
    /// Stop a deployed app; its rental goes on, and the seconds come back when it ends.
    Stop(DeployedArgs),
    /// Start a deployed app that was stopped.
    Start(DeployedArgs),
    /// End a deployed app's rental: what was served is paid, the rest becomes yours to withdraw.
    Remove(DeployedArgs),
    /// Give a bundle to a registry, under its digest and a tag.
    Push(AppPushArgs),
    /// Write manifests for Kubernetes of a bundle of containers, to run under a confidential runtime class.
    Manifest(AppManifestArgs),
    /// Check a bundle that somebody else made, here or at a registry, and show what it is and what its instances will show.
    Show(AppShowArgs),
    /// Check offline what an instance fetched over HTTPS and signed.
    FetchCheck(AppFetchCheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "`freehold header --instance ID --save FILE` gives the header, from any node. \
                  Exit status: 0 where the record counts, 1 otherwise.")]
pub(crate) struct AppFetchCheckArgs {
    /// What `POST /freehold/v1/fetch` answered.
    #[arg(value_name = "FILE")]
    pub(crate) fetched: PathBuf,
    /// Header of the network with the instance, newer than the record.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: PathBuf,
    /// Network key to trust, 96 bytes in hex; by default the one pinned in the data directory.
    #[arg(long, value_name = "HEX")]
    pub(crate) network_key: Option<NetworkKey>,
    /// Records by which the network key named its successors, where it was replaced since it was pinned.
    #[arg(long, value_name = "FILE")]
    pub(crate) succession: Option<PathBuf>,
    /// Data directory whose pinned network key counts.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Chain id, which names the default data directory.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Then `freehold app run NAME`, beside a `freehold up`. A compose file names each image by digest, as \
                  NAME@sha256:…"
)]
pub(crate) struct AppInitArgs {
    /// New folder of the app; its last part is the app's name.
    #[arg(value_name = "NAME")]
    pub(crate) folder: PathBuf,
    /// One program, or the containers of a compose file.
    #[arg(long, value_name = "process|container", default_value = "process")]
    pub(crate) kind: AppKindArg,
    /// Compose file to start from; it is checked and copied. Without one, an example is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

/// What an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AppKindArg {
    /// One program.
    Process,
    /// Containers.
    Container,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The same files give the same bundle, byte for byte, on every machine: its digest is the app's identity. \
                  Exit status: 0 built (and the same, with --verify), 1 otherwise."
)]
pub(crate) struct AppBuildArgs {
    /// Folder of the app, with its rofl.yaml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Where the bundle is written; by default `bundle` in the app's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Build beside the bundle that is there and compare, instead of writing it.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Bring the images that the compose file names, by digest, from their registries into the app's folder `images` first, as far
    /// as they are not there. For an image without a digest, say which one its tag has now.
    #[arg(long)]
    pub(crate) pull: bool,
    /// Folder with the model files that the manifest names: the image's measurement hangs on them.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub(crate) models: Option<PathBuf>,
    /// What a VM image of it shows too, of this kernel package, PID 1, agent and programs (`freehold image build`).
    #[arg(long, value_name = "FILE.deb")]
    pub(crate) kernel: Option<PathBuf>,
    /// Sign the bundle's digest by the account whose secret this file holds, in hex.
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    pub(crate) sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Passwords are those that `docker login` keeps in config.json (`auths`). Deploy from there with \
                  `freehold app deploy --source oci://HOST/NAME`: only the digest counts."
)]
pub(crate) struct AppPushArgs {
    /// Where to: HOST/NAME or HOST/NAME:TAG; without a tag, `latest`.
    #[arg(value_name = "REF")]
    pub(crate) reference: Reference,
    /// The bundle.
    #[arg(value_name = "DIR", default_value = "bundle")]
    pub(crate) bundle: PathBuf,
    /// Show what would be sent, and end.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The app must not run. The file holds the disk as it lies there, encrypted under the app's keys, and says which app \
                  it is of, how large it is, and its SHA-256. Nothing is signed or sent."
)]
pub(crate) struct AppSnapshotArgs {
    /// Folder of the app, with its rofl.yaml, or the app's name.
    #[arg(value_name = "DIR|NAME")]
    pub(crate) app: String,
    /// New file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The app must not run. A disk that is there is kept beside the new one. Wherever an instance of the app gets its keys the \
                  disk opens; one that is older than what the chain's counters saw is told to the app as `disk_behind`."
)]
pub(crate) struct AppRestoreArgs {
    /// What `app snapshot` wrote.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder of the app, with its rofl.yaml, or the app's name.
    #[arg(value_name = "DIR|NAME")]
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The manifests were validated and never run on a cluster. The account that pays stands in a Secret that you make \
                  (docs/containers.md)."
)]
pub(crate) struct AppManifestArgs {
    /// The bundle, with its images.
    #[arg(value_name = "DIR", default_value = "bundle")]
    pub(crate) bundle: PathBuf,
    /// For Kubernetes, the one kind that there is.
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// Image with `freehold` as entry point, for the agent and what attends it, by digest: NAME@sha256:…
    #[arg(long, value_name = "REF")]
    pub(crate) agent_image: Reference,
    /// Runtime class of the pod: each pod is a confidential VM.
    #[arg(long, value_name = "NAME", default_value = "kata-qemu-tdx")]
    pub(crate) runtime_class: String,
    /// Whose evidence the VMs show; kata-…-tdx and kata-…-snp say it themselves.
    #[arg(long, value_name = "intel|amd", value_parser = super::market::hardware)]
    pub(crate) trust_domain: Option<TrustDomain>,
    /// App that each pod becomes an instance of.
    #[arg(long, value_name = "rofl1…")]
    pub(crate) app: AppId,
    /// JSON-RPC of the node that is asked, by its address unless the manifest says `egress: open`.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Endpoint,
    /// Network key that the chain is believed under, 96 bytes in hex.
    #[arg(long, value_name = "HEX")]
    pub(crate) network_key: NetworkKey,
    /// Namespace of all objects.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AppShowArgs {
    /// The bundle: a folder, or oci://HOST/NAME, with :TAG or @sha256:… behind it, at a registry.
    #[arg(value_name = "DIR|oci://REF", default_value = "bundle")]
    pub(crate) bundle: String,
}

/// A launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LauncherArg {
    /// Guest and app are processes of this machine.
    Direct,
    /// Guest and app are in a VM.
    Qemu,
}

/// What keeps a program apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SandboxArg {
    /// The best that works here.
    Auto,
    /// Bubblewrap.
    Bwrap,
    /// Landlock and a filter of system calls.
    Landlock,
    /// Nothing.
    None,
}

/// How QEMU runs a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AccelArg {
    /// KVM where a guest boots under it, else software.
    Auto,
    /// KVM.
    Kvm,
    /// Software.
    Tcg,
    /// KVM, as a TD of Intel TDX: real hardware, with real evidence.
    Tdx,
    /// KVM, as an SEV-SNP guest of AMD: real hardware, with real evidence.
    Snp,
}

/// What becomes of the state disk that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StateDiskArg {
    /// It is opened.
    Keep,
    /// It is set aside.
    New,
}

/// The VM of `--launcher qemu`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "With --launcher qemu")]
pub(crate) struct VmArgs {
    #[command(flatten)]
    pub(crate) parts: ImagePartArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    /// How QEMU runs it.
    #[arg(long, value_name = "auto|kvm|tcg|tdx|snp", default_value = "auto")]
    pub(crate) accel: AccelArg,
    #[command(flatten)]
    pub(crate) tee: TeeVmArgs,
    /// Go on with the app's state disk, or begin with an empty one; the old one is kept beside it.
    #[arg(long, value_name = "keep|new", default_value = "keep")]
    pub(crate) state_disk: StateDiskArg,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It acts for two accounts of a development network whose secrets everybody knows: the app's owner and the \
                  provider that pays. The app's policy follows the program unless --keep-policy is given: then the chain \
                  refuses a changed program."
)]
pub(crate) struct AppRunArgs {
    /// Folder of the app, with its rofl.yaml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Where the app's API is offered; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) api: SocketAddr,
    /// Where TLS that ends in the instance is taken, by name; port 0 takes a free one. Without it there is none (docs/ingress.md).
    #[arg(long, value_name = "ADDR")]
    pub(crate) ingress: Option<SocketAddr>,
    /// Where plain HTTP is taken beside it: an app whose manifest says `challenge: http-01` answers its authority there.
    #[arg(long, value_name = "ADDR", requires = "ingress")]
    pub(crate) ingress_http: Option<SocketAddr>,
    /// Which TEE the emulator plays; of no account with --accel tdx or snp, where hardware gives the evidence.
    #[arg(long, value_name = "tdx|snp", default_value = "tdx")]
    pub(crate) tee: TeeArg,
    /// How it is launched: beside this process, or in a VM of its own under QEMU.
    #[arg(long, value_name = "direct|qemu", default_value = "direct")]
    pub(crate) launcher: LauncherArg,
    #[command(flatten)]
    pub(crate) vm: VmArgs,
    /// Leave the app's policy on the chain as it is.
    #[arg(long)]
    pub(crate) keep_policy: bool,
    /// Admit what runs here beside what the app's policy names, instead of it: an app that runs under both launchers.
    #[arg(long, conflicts_with = "keep_policy")]
    pub(crate) add_to_policy: bool,
    /// Run once; changes of the files are not looked at.
    #[arg(long)]
    pub(crate) once: bool,
    /// What keeps a program apart: `bwrap`, `landlock` (with a filter of system calls), or `none`, as --no-sandbox; bubblewrap
    /// where it works, else Landlock, where nothing is said.
    #[arg(long, value_name = "auto|bwrap|landlock|none", default_value = "auto")]
    pub(crate) sandbox: SandboxArg,
    /// Run the program in no sandbox, with the rights of this user, and containers of a user that is not root without
    /// bounds: for programs of your own alone.
    #[arg(long, conflicts_with = "sandbox")]
    pub(crate) no_sandbox: bool,
    /// Show what would be signed and paid, and end.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What runs containers: `runc`, `runsc` (gVisor), or the absolute path of one of them; it is asked which it is.
    #[arg(long, value_name = "runc|runsc|PATH", default_value = "runc")]
    pub(crate) oci_runtime: OciRuntime,
    /// Run containers as tasks of the containerd at this socket, which calls `runc`.
    #[arg(long, value_name = "SOCKET", conflicts_with = "oci_runtime")]
    pub(crate) containerd: Option<PathBuf>,
}
