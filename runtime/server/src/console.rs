//! The console: a page on the admin listener that shows what the engine is doing, and lets one try it.
//!
//! The page is compiled into the program and loads nothing from elsewhere ([`assets`]). It asks for three things:
//! [`status`] says what is served, [`figures`] how it goes, and [`playground`] calls it. [`guard`] keeps the pages of others
//! away from all of that, and [`headers`] tells browsers what the page may do.

mod assets;
mod figures;
mod guard;
mod headers;
mod playground;
mod process;
mod routes;
mod status;

pub(crate) use guard::same_origin;
pub(crate) use routes::routes;
