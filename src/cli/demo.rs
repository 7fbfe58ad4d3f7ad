//! `postbook demo`.

mod clock;
mod player;
mod story;
mod traffic;
