//! The reader on traces of known content, whole and damaged.

mod damage;
mod folder;
mod golden;
mod known;
mod sample;
mod writer;
