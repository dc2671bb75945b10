variable "observability" {
  description = "Alarms, the backstop, who is told and the budget: what is left out has the default of modules/observability."
  type = object({
    alarm_minutes = optional(object({
      capacity = optional(number)
      idle     = optional(number)
      queue    = optional(number)
      silent   = optional(number)
      stuck    = optional(number)
    }))
    backstop = optional(object({
      enabled      = optional(bool)
      idle_minutes = optional(number)
    }))
    budget = optional(object({
      forecast_percent = optional(number)
      spent_percents   = optional(set(number))
      usd_per_month    = number
    }))
    emails   = optional(set(string))
    webhooks = optional(set(string))
  })
  default  = {}
  nullable = false
}
