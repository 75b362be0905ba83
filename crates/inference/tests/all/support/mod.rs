//! What the scenarios share: a guest that keeps its promises, a tiny model, a running app.
#![allow(clippy::unwrap_used, dead_code)] // Reason: each test binary uses a part.

pub(crate) mod guest;
pub(crate) mod tiny;

use std::{path::Path, sync::Arc, time::Duration};

use freehold_inference::{Config, run};
use freehold_rpc::{Endpoint, HttpClient};
use tempfile::TempDir;

use guest::FakeGuest;

/// A running app with its guest.
pub(crate) struct Scene {
    pub(crate) guest: Arc<FakeGuest>,
    pub(crate) http: HttpClient,
    pub(crate) folder: TempDir,
    pub(crate) model: String,
    app: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// An app that serves the tiny model.
    pub(crate) async fn tiny() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        tiny::write(&path);
        Self::start(folder, &path, "tiny").await
    }

    /// An app that serves a model file.
    pub(crate) async fn start(folder: TempDir, model: &Path, name: &str) -> Self {
        let (local, listen) = (folder.path().join("local.sock"), folder.path().join("app.sock"));
        let guest = FakeGuest::start(&local);
        let config = Config {
            local_socket: local,
            listen_socket: listen.clone(),
            model_path: model.to_owned(),
            model_name: name.to_owned(),
            context: Some(512),
            workers: 1,
        };
        let app = tokio::spawn(async move {
            if let Err(error) = run(config).await {
                panic!("{error}");
            }
        });
        let http = HttpClient::new(Endpoint::unix(&listen).unwrap());
        for _ in 0..600 {
            if http.get_json::<serde_json::Value>("/health").await.is_ok() {
                return Self { guest, http, folder, model: name.to_owned(), app };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the app did not start");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.app.abort();
    }
}
