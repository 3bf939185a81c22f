//! Decides what is fetched, from where, and what is handed out.
