//! `postbook demo`.

mod clock;
mod month;
mod player;
mod story;
mod traffic;
