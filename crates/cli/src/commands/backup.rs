//! `backup`, `restore` and `backup-key`: a validator's folder, sealed to a passphrase or to a key (`docs/runbook.md`).

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_crypto::HpkeSecret;
use freehold_node::{BackupScope, BackupSummary, Opening, Sealing, restore_backup, write_backup};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    args::{BackupArgs, BackupKeyArgs, RestoreArgs},
    data_dir::Held,
    output::Output,
};

/// Longest file of a passphrase or a secret, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// Runs `backup`.
pub(crate) fn backup(args: &BackupArgs, output: Output) -> Result<ExitCode> {
    let scope = if args.is_move { BackupScope::Move } else { BackupScope::Identity };
    // An identity's files never change; for a move the node must not run.
    let held = if args.is_move { Some(Held::take(&args.data_dir)?) } else { None };
    let folder = held.as_ref().map_or(args.data_dir.as_path(), Held::path);
    let passphrase = args.passphrase_file.as_deref().map(first_line).transpose()?;
    let sealing = match (&passphrase, args.recipient) {
        (Some(passphrase), _) => Sealing::Passphrase(passphrase),
        (None, Some(key)) => Sealing::Recipient(key),
        (None, None) => bail!("name a passphrase with --passphrase-file, or a key with --recipient"),
    };
    let made = write_backup(folder, &args.to, (scope, &sealing), &mut UnwrapErr(SysRng))?;
    tell("backup", &made, &args.to, output);
    output.text(match scope {
        BackupScope::Identity => {
            "it holds no share of a key: restored, the validator follows and signs after the next resharing"
        }
        BackupScope::Move => {
            "this folder starts no more: restore the backup once, on the other machine, within this term"
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs `restore`.
pub(crate) fn restore(args: &RestoreArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&args.data_dir)?;
    let passphrase = args.passphrase_file.as_deref().map(first_line).transpose()?;
    let secret = args.secret_file.as_deref().map(secret).transpose()?;
    let opening = match (&passphrase, &secret) {
        (Some(passphrase), _) => Opening::Passphrase(passphrase),
        (None, Some(secret)) => Opening::Secret(secret),
        (None, None) => bail!("name the passphrase with --passphrase-file, or the key's secret with --secret-file"),
    };
    let wanted = args.network_key.as_ref();
    let made = restore_backup(&args.from, held.path(), &opening, wanted)?;
    tell("restored", &made, held.path(), output);
    output.text(match made.scope {
        BackupScope::Identity => {
            "the validator follows when it is started, and signs after the next resharing; make sure that its old machine never \
             starts again"
        }
        BackupScope::Move => "the validator is moved; start it here, and nowhere else",
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs `backup-key`.
pub(crate) fn key(args: &BackupKeyArgs, output: Output) -> Result<ExitCode> {
    let secret = HpkeSecret::generate(&mut UnwrapErr(SysRng));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.to)
        .with_context(|| format!("{} cannot be made", args.to.display()))?;
    let text = Zeroizing::new(hex::encode(*secret.to_bytes()));
    writeln!(file, "{}", *text).and_then(|()| file.sync_all()).context("the secret cannot be written")?;
    output.object(&json!({ "event": "backup_key", "recipient": secret.public(), "file": args.to }));
    output.text(&format!(
        "recipient {}\nthe secret is in {}: keep it away from the validators",
        secret.public(),
        args.to.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn tell(event: &str, made: &BackupSummary, place: &Path, output: Output) {
    let scope = if made.scope == BackupScope::Move { "move" } else { "identity" };
    output.object(&json!({
        "event": event,
        "scope": scope,
        "chain_id": made.chain_id,
        "genesis_hash": made.genesis_hash,
        "identity": made.identity,
        "files": made.files,
        "bytes": made.bytes,
        "place": place,
    }));
    output.text(&format!(
        "{event}: {scope} of validator {} of chain {}, {} files, {} bytes, {}",
        made.identity,
        made.chain_id,
        made.files,
        made.bytes,
        place.display()
    ));
}

/// The first line of a file that nobody else may read.
fn first_line(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = private(path)?;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

fn secret(path: &Path) -> Result<HpkeSecret> {
    let line = first_line(path)?;
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(&*line, &mut *secret)
        .map_err(|_| anyhow!("{} holds no secret of 32 bytes in hex", path.display()))?;
    Ok(HpkeSecret::from_bytes(&secret))
}

fn private(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let cannot = || format!("{} cannot be read", path.display());
    let file = fs::metadata(path).with_context(cannot)?;
    if file.permissions().mode() & 0o077 != 0 {
        bail!("{} can be read by others: make it yours alone with chmod 600", path.display());
    }
    if file.len() > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    }
    fs::read(path).map(Zeroizing::new).with_context(cannot)
}
