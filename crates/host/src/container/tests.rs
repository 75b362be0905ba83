//! Plans and configurations.
