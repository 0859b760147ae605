//! The tests of shop-platform: one binary, a module a concern.
mod real;
