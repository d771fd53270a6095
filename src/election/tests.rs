mod bench;
mod commands;
mod options;
mod pace;
mod rules;
mod schedule;
mod timings;
