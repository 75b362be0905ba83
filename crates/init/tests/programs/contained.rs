//! The program in the container of a VM: it writes to its volume, or looks at what it is given and what it must not find.

use std::{env, fs, os::unix::fs::MetadataExt, path::Path, process::exit};

fn main() {
    match env::args().nth(1).as_deref() {
        Some("write") => {
            fs::write("/data/kept", "by the job").expect("the volume is its user's");
            println!("written");
        }
        Some("look") => look(),
        _ => exit(98),
    }
}

fn look() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    println!("uid {}", fs::metadata("/proc/self").map_or(0, |about| about.uid()));
    println!("said {}", env::var("SAID").unwrap_or_default());
    println!("kept {}", read("/data/kept"));
    println!("secret {}", read("/secret"));
    println!("root {}", if fs::read("/roots").is_err() { "refused" } else { "read" });
    println!(
        "disk {}",
        if Path::new("/containers").exists() || Path::new("/images").exists() { "seen" } else { "refused" }
    );
    println!("agent {}", if Path::new("/run/freehold/local.sock").exists() { "seen" } else { "refused" });
    exit(21);
}
