"""What every stage stands on: parameters, errors, the stage shell, manifests, files, locks, processes."""
