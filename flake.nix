{
  description = "Designs and builds Linux disk images: no root, exact sizes, proof that they boot";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: {
        default = pkgs.callPackage ./package.nix { };
        diskwright = pkgs.callPackage ./package.nix { };
      });

      apps = each (pkgs: {
        default = {
          type = "app";
          program = "${self.packages.${pkgs.system}.default}/bin/diskwright";
        };
      });

      devShells = each (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.system}.default ];
          packages = self.packages.${pkgs.system}.default.tools ++ [ pkgs.uv ];
        };
      });

      overlays.default = final: _previous: {
        diskwright = final.callPackage ./package.nix { };
      };

      nixosModules.default = import ./nix/module.nix self;

      # make-disk-image's arguments, built by Diskwright: lib.makeDiskImage { inherit pkgs lib config; ... }
      lib.makeDiskImage =
        { pkgs, ... }@arguments:
        import ./nix/make-disk-image.nix (
          { diskwright = self.packages.${pkgs.system}.default; } // arguments
        );
    };
}
