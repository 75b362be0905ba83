//! Which name leads where.
//!
//! A domain leads to the app that named it first on this machine, and to the newest instance of it. That an app may have it, nobody here can tell: the name's DNS led
//! the client here, and the certificate says the rest.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use freehold_primitives::{AppId, Digest};
use freehold_rpc::named_app;

use super::Shared;

struct Way {
    app: AppId,
    instance: Option<Digest>,
    socket: PathBuf,
}

#[derive(Default)]
struct Table {
    next: u64,
    ways: BTreeMap<u64, Way>,
    domains: BTreeMap<String, u64>,
}

/// All ways of a machine.
#[derive(Default)]
pub(super) struct Routes(Mutex<Table>);

impl Routes {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket that a name, in lower case, leads to.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let table = self.table();
        if let Some(way) = table.domains.get(name).and_then(|number| table.ways.get(number)) {
            return Some(way.socket.clone());
        }
        let (app, beginning) = named_app(name)?;
        let is_it = |way: &&Way| {
            let instance = way.instance.as_ref();
            way.app == app && beginning.is_none_or(|wanted| instance.is_some_and(|id| id.0.starts_with(&wanted)))
        };
        // Of several instances of one app, the newest.
        table.ways.values().rev().find(is_it).map(|way| way.socket.clone())
    }
}

/// An app's way in; it closes when it is dropped.
pub(crate) struct Route {
    shared: Arc<Shared>,
    number: u64,
}

impl Route {
    pub(super) fn open(shared: Arc<Shared>, app: AppId, domains: &[String], socket: PathBuf) -> (Self, Vec<String>) {
        let mut table = shared.routes.table();
        let number = table.next;
        table.next += 1;
        let mut taken = Vec::new();
        for domain in domains {
            let holder = table.domains.get(domain).and_then(|number| table.ways.get(number));
            if holder.is_some_and(|way| way.app != app) {
                taken.push(domain.clone());
            } else {
                table.domains.insert(domain.clone(), number);
            }
        }
        table.ways.insert(number, Way { app, instance: None, socket });
        drop(table);
        (Self { shared, number }, taken)
    }

    /// The instance that runs now.
    pub(crate) fn instance(&self, instance: Option<Digest>) {
        if let Some(way) = self.shared.routes.table().ways.get_mut(&self.number) {
            way.instance = instance;
        }
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut table = self.shared.routes.table();
        table.ways.remove(&self.number);
        table.domains.retain(|_, number| *number != self.number);
    }
}
