mod bench;
mod commands;
mod pace;
mod rules;
mod simulation;
