mod bench;
mod commands;
mod pace;
mod rules;
