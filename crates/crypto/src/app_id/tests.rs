//! Tests of `app_id`.
