//! Generations of the keys that apps take by context (`spec/key-service.md` §7).

use crate::ids::{AppId, Generation, UnixSeconds};

canonical_struct! {
    /// Which generation of a context an app's instances receive, and how it is replaced. A context without an entry is at
    /// generation 0 and is never replaced.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct KeyContextEntry {
        /// The app.
        pub app_id: AppId,
        /// Context string, such as `root`.
        pub context: String,
        /// Newest generation: what new data is written under.
        pub generation: Generation,
        /// When the newest generation began, in seconds since the Unix epoch.
        pub begun_at: UnixSeconds,
        /// Until when the generation before is served too, so that what is under it can be read and written anew; 0 where
        /// there is none, or it was retired.
        pub previous_until: UnixSeconds,
        /// Age at which a generation is replaced; 0: by hand only.
        pub max_age_s: UnixSeconds,
        /// How long a replaced generation is served.
        pub keep_s: UnixSeconds,
        /// Generation of the master that the newest generation is under (`spec/key-service.md` §9).
        pub master: Generation,
        /// That of the generation before.
        pub previous_master: Generation,
    }
}

impl KeyContextEntry {
    /// A context that was never replaced and has no rule.
    pub const fn first(app_id: AppId, context: String, begun_at: UnixSeconds) -> Self {
        Self {
            app_id,
            context,
            generation: 0,
            begun_at,
            previous_until: 0,
            max_age_s: 0,
            keep_s: 0,
            master: 0,
            previous_master: 0,
        }
    }

    /// The generation before the newest one, while it is served.
    pub const fn previous(&self, now_unix_s: UnixSeconds) -> Option<Generation> {
        if now_unix_s < self.previous_until { self.generation.checked_sub(1) } else { None }
    }

    /// Whether shares of a generation are served at this moment.
    pub fn serves(&self, generation: Generation, now_unix_s: UnixSeconds) -> bool {
        generation == self.generation || self.previous(now_unix_s) == Some(generation)
    }

    /// Generation of the master that one of the two generations is under.
    pub const fn master_of(&self, generation: Generation) -> Generation {
        if generation == self.generation { self.master } else { self.previous_master }
    }

    /// Whether the newest generation has reached its age.
    pub const fn is_due(&self, now_unix_s: UnixSeconds) -> bool {
        self.max_age_s > 0 && now_unix_s.saturating_sub(self.begun_at) >= self.max_age_s
    }
}
