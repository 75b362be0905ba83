//! A certificate authority that speaks ACME: Let's Encrypt's own test server, Debian's package `pebble`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::json;

use crate::support::free_address;

/// The server and the resolver that it asks, for which every name is this machine. They end with the value.
pub(crate) struct Authority {
    directory: String,
    root: String,
    management: String,
    folder: PathBuf,
    processes: [Child; 2],
}

impl Drop for Authority {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Authority {
    /// Starts it, with `cert.pem` and `key.pem` of the folder as its own TLS; it asks for names at these ports. Where it is not
    /// installed, says so loudly.
    pub(crate) fn start(folder: &Path, tls: u16, http: u16) -> Option<Self> {
        let there = Command::new("pebble").arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if there.is_err() {
            eprintln!("SKIPPED: Let's Encrypt's test server is missing here; install Debian's package `pebble`");
            return None;
        }
        let (address, management, dns, other) = (free_address(), free_address(), free_address(), free_address());
        let config = json!({ "pebble": {
            "listenAddress": address,
            "managementListenAddress": management,
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        fs::write(folder.join("pebble.json"), config.to_string()).unwrap();
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let resolver = quiet(
            Command::new("pebble-challtestsrv")
                .args(["-dns01", &dns, "-management", &other, "-defaultIPv4=127.0.0.1", "-defaultIPv6="])
                .args(["-http01=", "-https01=", "-tlsalpn01="]),
        );
        let server = quiet(
            Command::new("pebble")
                .arg("-config")
                .arg(folder.join("pebble.json"))
                .args(["-dnsserver", &dns, "-strict"])
                .env("PEBBLE_VA_NOSLEEP", "1"),
        );
        let pem = fs::read_to_string(folder.join("cert.pem")).unwrap();
        Some(Self {
            directory: format!("https://{address}/dir"),
            root: pem.lines().filter(|line| !line.starts_with('-')).collect(),
            management,
            folder: folder.to_owned(),
            processes: [server, resolver],
        })
    }

    /// What a manifest says of it.
    pub(crate) fn told(&self, domain: &str, challenge: &str) -> String {
        let Self { directory, root, .. } = self;
        format!(
            "  ingress:\n    tls: acme\n    domains: [{domain}]\n    acme:\n      directory: '{directory}'\n      roots: \
             ['{root}']\n      challenge: {challenge}\n"
        )
    }

    /// Asks a domain at a port as browsers do: with the authority's root, and no other.
    pub(crate) fn curl(&self, (domain, port): (&str, u16), path: &str) -> Output {
        let root = self.folder.join("root.pem");
        // Nothing rests on this exchange in the test.
        let given =
            Command::new("curl").args(["-sSk", &format!("https://{}/roots/0", self.management)]).output().unwrap();
        fs::write(&root, given.stdout).unwrap();
        Command::new("curl")
            .args(["-sS", "--http1.1", "-m", "20", "--cacert"])
            .arg(root)
            .args(["--connect-to", &format!("{domain}:443:127.0.0.1:{port}"), &format!("https://{domain}{path}")])
            .output()
            .unwrap()
    }
}
