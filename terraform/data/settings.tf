locals {
  settings_file = startswith(var.settings_file, "/") ? var.settings_file : "${path.root}/${var.settings_file}"
  defaults_file = startswith(var.defaults_file, "/") ? var.defaults_file : "${path.root}/${var.defaults_file}"

  settings = module.settings.settings
  names    = module.settings.names
}

module "settings" {
  source = "../modules/settings"

  environment   = var.environment
  settings_file = local.settings_file
  defaults_file = local.defaults_file
}
