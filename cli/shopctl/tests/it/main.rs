//! The tests of shopctl: one binary, a module a concern. Each runs the real executable in a world of its own.
mod accounts;
mod auth;
mod config;
mod dev;
mod docker;
mod download;
mod exits;
mod extras;
mod generate;
mod help;
mod issuer;
mod keyring;
mod output;
mod redaction;
mod shown;
mod typed;
mod world;
