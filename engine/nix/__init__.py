"""NixOS: closures, the Nix database, installation, make-disk-image's own arguments."""
