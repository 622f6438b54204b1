"""What every stage stands on: errors, files, manifests, signals, parallel work, running as a program."""
