//! The command `wisp`, as users and operators meet it.

mod embed;
mod serve;
mod support;
