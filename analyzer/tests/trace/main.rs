//! The reader on traces of known content, whole and damaged.

mod case;
mod corpus;
mod damage;
mod folder;
mod golden;
mod known;
mod pages;
mod promises;
mod sample;
mod syscalls;
mod writer;
