//! An app that looks at the VM around it, and says by its exit status what it found: 7 where all is as promised.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::ExitCode,
};

fn main() -> ExitCode {
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
