//! The tests of shop-templates: one binary, a module an emitter.
mod compose;
