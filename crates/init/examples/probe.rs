//! An app that looks at the VM around it, and says by its exit status what it found: 7 where all is as promised. With the word
//! `storage` it looks at its storage alone: 20 where it wrote its first file, 21 where it read that and wrote another, 23 where the
//! other one cannot be read and the first can. With the word `model` it reads its model alone: 30 where it is whole and cannot be
//! written to.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::ExitCode,
};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("storage") => return ExitCode::from(storage().unwrap_or(24)),
        Some("model") => return ExitCode::from(model().unwrap_or(34)),
        _ => {}
    }
    ExitCode::from(match look() {
        Ok(true) => 7,
        Ok(false) => 8,
        Err(_) => 9,
    })
}

fn look() -> std::io::Result<bool> {
    let path = std::env::var("FREEHOLD_LOCAL_API").map_err(std::io::Error::other)?;
    let ask = |path: &str, request: &str| {
        let mut stream = UnixStream::connect(path)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let health = ask(&path, "GET /freehold/v1/health HTTP/1.1\r\nhost: guest\r\n\r\n")?;
    let refused = ask(&path, "POST /rofl/v1/keys/generate HTTP/1.1\r\nhost: guest\r\n\r\n")?;
    fs::write("/tmp/mine", "own")?;
    let is_whole = fs::read("/app/data")?.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8);
    let is_apart = fs::write("/app/new", "x").is_err()
        && fs::write("/start.json", "x").is_err()
        && fs::read_dir("/proc")?.next().is_none()
        && fs::read_dir("/sys")?.next().is_none()
        && !std::path::Path::new("/dev/vda").exists();
    Ok(health.contains("200 OK") && refused.contains("503") && is_whole && is_apart)
}

/// Bytes of a file that no two blocks of are alike.
fn content(first: u32) -> Vec<u8> {
    (0..512 * 1024).flat_map(|at: u32| at.wrapping_mul(first).to_le_bytes()).collect()
}

fn model() -> std::io::Result<u8> {
    let place = |name| std::env::var(name).map_err(std::io::Error::other);
    let (folder, model) = (place("FREEHOLD_MODELS")?, place("FREEHOLD_MODEL")?);
    let is_whole = model == format!("{folder}/m.gguf") && fs::read(&model)? == content(7);
    let is_kept = fs::write(&model, "x").is_err() && fs::write(format!("{folder}/new"), "x").is_err();
    Ok(if is_whole && is_kept { 30 } else { 33 })
}

fn storage() -> std::io::Result<u8> {
    let folder = std::env::var("FREEHOLD_STORAGE").map_err(std::io::Error::other)?;
    let [first, other] = ["first", "other"].map(|name| format!("{folder}/{name}"));
    let put = |path: &str, bytes: &[u8]| {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if !fs::exists(&first)? {
        put(&first, &content(3))?;
        return Ok(20);
    }
    if fs::read(&first)? != content(3) {
        return Ok(25);
    }
    if !fs::exists(&other)? {
        put(&other, &content(5))?;
        return Ok(21);
    }
    Ok(match fs::read(&other) {
        Err(_) => 23,
        Ok(bytes) if bytes == content(5) => 22,
        Ok(_) => 26,
    })
}
