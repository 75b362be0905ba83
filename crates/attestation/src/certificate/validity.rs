//! How long a set of certificates and revocation lists counts.

use freehold_primitives::UnixSeconds;

use super::{Certificate, Revocation, RevocationList};

/// From the latest beginning to the earliest end, for certificates and lists each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    certificates: (UnixSeconds, UnixSeconds),
    lists: Option<(UnixSeconds, UnixSeconds)>,
}

impl Validity {
    /// That of one certificate.
    pub(crate) fn of(certificate: &Certificate<'_>) -> Self {
        Self { certificates: (certificate.not_before(), certificate.not_after()), lists: None }
    }

    /// Narrows to a further certificate.
    pub(crate) fn add_certificate(&mut self, certificate: &Certificate<'_>) {
        let (from, until) = self.certificates;
        self.certificates = (from.max(certificate.not_before()), until.min(certificate.not_after()));
    }

    /// Narrows to a revocation list.
    pub(crate) fn add_list(&mut self, list: &RevocationList) {
        let (from, until) = self.lists.unwrap_or((list.issued_at, list.expires_at));
        self.lists = Some((from.max(list.issued_at), until.min(list.expires_at)));
    }

    /// Unix seconds of the latest issue: of the lists, else of the certificates.
    pub(crate) fn issued_at(&self) -> UnixSeconds {
        self.lists.map_or(self.certificates.0, |(from, _)| from)
    }

    /// Unix seconds of the earliest end.
    pub(crate) fn expires_at(&self) -> UnixSeconds {
        self.lists.map_or(self.certificates.1, |(_, until)| until.min(self.certificates.1))
    }

    /// Whether there are lists.
    pub(crate) const fn revocation(&self) -> Revocation {
        if self.lists.is_some() { Revocation::Checked } else { Revocation::Unknown }
    }
}
